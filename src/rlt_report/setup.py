from setuptools import find_packages, setup

package_name = 'rlt_report'

setup(
    name=package_name,
    version='0.1.0',
    description='What a run came to: its report, and its log as a file for Foxglove.',
    author='RLT for ROS 2 maintainers',
    author_email='maintainers@rlt-ros2.example',
    license='Apache-2.0',
    packages=find_packages(exclude=['test', 'test.*']),
    package_data={'': ['*.xml', '*.jinja', 'py.typed']},
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/' + package_name]),
        ('share/' + package_name, ['package.xml']),
    ],
    zip_safe=False,
    install_requires=['mcap'],  # rosdep does not know it
    extras_require={'test': ['pytest', 'pytest-rerunfailures']},  # by this `colcon test` knows what runs the tests
)
