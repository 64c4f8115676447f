"""The `ros2` command, `launch` and `launch_ros` where ROS 2 comes from Python wheels."""

from importlib.metadata import PackageNotFoundError, distribution

from setuptools import setup


def refuse_to_shadow() -> None:
    """Stop if the real packages, or others of the same name, are installed."""
    for name in ("launch", "launch_ros", "ros2cli"):
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        raise SystemExit(
            f"ros2_wheels: {name} {found.version} is already installed at {found.locate_file('')}; "
            "this package never shadows an installation: use that one."
        )


refuse_to_shadow()
setup(
    name="rlt-ros2-wheels",
    version="0.1.0",
    description=__doc__,
    author="RLT for ROS 2 maintainers",
    author_email="maintainers@rlt-ros2.example",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=["launch", "launch.actions", "launch.events", "launch_ros", "ros2_wheels"],
    entry_points={"console_scripts": ["ros2 = ros2_wheels.main:main"]},
)
