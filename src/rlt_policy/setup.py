from setuptools import find_packages, setup

package_name = 'rlt_policy'

setup(
    name=package_name,
    version='0.1.0',
    description='The nodes between cameras and robot: observer, policy, chunk_controller.',
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
            'observer = rlt_policy.main:observer',
            'policy = rlt_policy.main:policy',
            'chunk_controller = rlt_policy.main:chunk_controller',
        ],
        'rlt.robot_output': [
            'cartesian_pose = rlt_policy.outputs.cartesian_pose:CartesianPose',
            'joint_trajectory = rlt_policy.outputs.joint_trajectory:JointTrajectories',
            'forward_position = rlt_policy.outputs.forward_position:ForwardPosition',
            'twist = rlt_policy.outputs.twist:Twists',
            'gripper = rlt_policy.outputs.gripper:Gripper',
        ],
    },
)
