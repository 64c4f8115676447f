from setuptools import find_packages, setup

package_name = 'rlt_sim'

setup(
    name=package_name,
    version='0.1.0',
    description='A MuJoCo robot that looks like a robot driver; the commands pretrain and benchmark.',
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
    extras_require={'test': ['pytest', 'pytest-rerunfailures']},  # by this `colcon test` knows what runs the tests
    entry_points={
        'console_scripts': [
            'person = rlt_sim.main:person',
            'simulator = rlt_sim.main:simulator',
        ],
    },
)
