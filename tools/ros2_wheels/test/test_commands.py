"""The commands, against a real node."""

import signal

import pytest

from .conftest import Command


@pytest.fixture(scope="module")
def node(probe_node, environment, tmp_path_factory):
    command = Command(
        [str(probe_node), "--ros-args", "-r", "__ns:=/lab"],
        environment,
        tmp_path_factory.mktemp("node") / "output.txt",
    )
    command.wait_for("node /lab/probe")
    yield command
    command.process.kill()
    command.process.wait()


def test_node_list_and_info(node, ros2):
    assert ros2("node", "list") == (0, "/lab/probe\n")
    code, text = ros2("node", "info", "/lab/probe")
    assert code == 0, text
    lines = text.splitlines()
    assert lines[:3] == ["/lab/probe", "  Subscribers:", "    /lab/words: std_msgs/msg/String"]
    assert "    /lab/signal: std_msgs/msg/Float64MultiArray" in lines
    assert "    /lab/switch: std_srvs/srv/SetBool" in lines


def test_a_node_that_is_not_there(node, ros2):
    code, text = ros2("node", "info", "/lab/nobody")
    assert code == 1
    assert "node '/lab/nobody' not found; running: /lab/probe" in text


def test_topic_list_type_and_info(node, ros2):
    code, text = ros2("topic", "list", "-t")
    assert code == 0
    assert "/lab/greeting [std_msgs/msg/String]\n" in text
    assert ros2("topic", "type", "/lab/words") == (0, "std_msgs/msg/String\n")
    code, text = ros2("topic", "info", "-v", "/lab/signal")
    assert "Type: std_msgs/msg/Float64MultiArray" in text
    assert "Publisher count: 1" in text and "Subscription count: 0" in text
    assert "Node namespace: /lab" in text and "Reliability: BEST_EFFORT" in text


def test_topic_echo_gets_what_was_latched_before_it_came(node, ros2):
    assert ros2("topic", "echo", "--once", "/lab/greeting") == (0, "data: hello\n---\n")


def test_topic_echo_matches_best_effort_and_cuts_long_arrays(node, ros2):
    code, text = ros2("topic", "echo", "--once", "/lab/signal")
    assert code == 0, text
    assert text.count("- 1.5\n") == 128
    assert "- '...'\n" in text
    _, text = ros2("topic", "echo", "--once", "--field", "layout.data_offset", "/lab/signal")
    assert text == "0\n---\n"


def test_topic_hz_measures_the_rate(node, start):
    hz = start("ros2", "topic", "hz", "/lab/signal")
    hz.wait_for("average rate: ")
    hz.wait_for("std dev: ")
    hz.send(signal.SIGINT)
    assert hz.end() == 0
    rate = float(hz.text.split("average rate: ")[1].split()[0])
    assert 5.0 < rate < 60.0  # nominally 50 Hz, less where the machine is busy


def test_topic_pub_reaches_the_node(node, ros2):
    code, text = ros2("topic", "pub", "--once", "/lab/words", "std_msgs/msg/String", "{data: hi}")
    assert code == 0, text
    assert "publishing #1: std_msgs.msg.String(data='hi')" in text
    node.wait_for("heard hi")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("{date: hi}", "String has no field 'date'; its fields: data"),
        ("{data: 3}", "field 'data' of String is string; found 3"),
        ("hi", "values of String must be a YAML mapping"),
    ],
)
def test_values_that_do_not_fit_are_named(ros2, values, expected):
    code, text = ros2("topic", "pub", "--once", "/words", "std_msgs/msg/String", values)
    assert code == 1
    assert expected in text


def test_service_list_type_and_call(node, ros2):
    code, text = ros2("service", "list")
    assert code == 0 and "/lab/switch\n" in text
    assert ros2("service", "type", "/lab/switch") == (0, "std_srvs/srv/SetBool\n")
    code, text = ros2("service", "call", "/lab/switch", "std_srvs/srv/SetBool", "{data: true}")
    assert code == 0, text
    assert "std_srvs.srv.SetBool_Response(success=True, message='switched True')" in text


def test_parameters(node, ros2):
    code, text = ros2("param", "list", "/lab/probe")
    assert code == 0 and "  gain\n" in text and "  nested.depth\n" in text
    assert ros2("param", "get", "/lab/probe", "gain") == (0, "Double value is: 0.5\n")
    assert ros2("param", "set", "/lab/probe", "gain", "0.75")[0] == 0
    assert ros2("param", "get", "--hide-type", "/lab/probe", "gain") == (0, "0.75\n")
    code, text = ros2("param", "set", "/lab/probe", "gain", "7.0")
    assert code == 1 and "Setting parameter failed" in text and "out of range" in text
    code, text = ros2("param", "describe", "/lab/probe", "gain")
    assert "Description: a gain without unit" in text and "Max value: 1.0" in text
    code, text = ros2("param", "dump", "/lab/probe")
    assert "    nested:\n      depth: 0.0\n" in text
    code, text = ros2("param", "get", "/lab/probe", "nothing")
    assert code == 1


def test_lifecycle(node, ros2):
    assert ros2("lifecycle", "nodes") == (0, "/lab/probe\n")
    assert ros2("lifecycle", "get", "/lab/probe") == (0, "unconfigured [1]\n")
    code, text = ros2("lifecycle", "set", "/lab/probe", "activate")
    assert code == 1 and "cannot make the transition 'activate' now; it can: configure" in text
    assert ros2("lifecycle", "set", "/lab/probe", "configure") == (0, "Transitioning successful\n")
    code, text = ros2("lifecycle", "set", "/lab/probe", "activate")  # the probe always refuses
    assert code == 1 and "Transitioning failed" in text
    assert ros2("lifecycle", "get") == (0, "/lab/probe: inactive [2]\n")
    assert ros2("lifecycle", "set", "/lab/probe", "cleanup")[0] == 0


def test_interface_show_unfolds_fields(ros2):
    code, text = ros2("interface", "show", "--no-comments", "geometry_msgs/msg/PointStamped")
    assert code == 0
    assert text.splitlines() == [
        "std_msgs/Header header",
        "\tbuiltin_interfaces/Time stamp",
        "\t\tint32 sec",
        "\t\tuint32 nanosec",
        "\tstring frame_id",
        "Point point",
        "\tfloat64 x",
        "\tfloat64 y",
        "\tfloat64 z",
    ]
    assert ros2("interface", "show", "std_msgs/msg/Nothing")[0] == 1
    assert "std_srvs/srv/SetBool\n" in ros2("interface", "package", "std_srvs")[1]


def test_packages_and_run(ros2):
    assert "\nrclpy\n" in ros2("pkg", "list")[1]
    assert ros2("pkg", "prefix", "no_such_package")[0] == 1
    code, text = ros2("run", "rclpy", "nothing")
    assert code == 1 and "package 'rclpy' has no executable 'nothing'" in text


def test_what_the_command_lacks_is_said_in_a_sentence(ros2):
    for words in (("bag", "record"), ("topic", "bw", "/x")):
        code, text = ros2(*words)
        assert code == 2
        assert "a ROS 2 Jazzy installation has the rest" in text
