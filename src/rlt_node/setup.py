from setuptools import find_packages, setup

package_name = 'rlt_node'

setup(
    name=package_name,
    version='0.1.0',
    description='Code that all ROS nodes of the suite share: parameters, QoS profiles, message conversions, start and stop.',
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
    extras_require={'test': ['pytest', 'pytest-rerunfailures']},  # tells `colcon test` which test runner to use
)
