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


def test_node_list_and_info(node, at_once):
    listed, (code, text) = at_once("node list", "node info /lab/probe")
    assert listed == (0, "/lab/probe\n")
    assert code == 0, text
    lines = text.splitlines()
    assert lines[:3] == ["/lab/probe", "  Subscribers:", "    /lab/words: std_msgs/msg/String"]
    assert "    /lab/signal: std_msgs/msg/Float64MultiArray" in lines
    assert "    /lab/switch: std_srvs/srv/SetBool" in lines


def test_a_node_that_is_not_there(node, ros2):
    code, text = ros2("node", "info", "/lab/nobody")
    assert code == 1
    assert "node '/lab/nobody' not found; running: /lab/probe" in text


def test_topic_list_type_and_info(node, at_once):
    listed, kind, (code, text) = at_once(
        "topic list -t", "topic type /lab/words", "topic info -v /lab/signal"
    )
    assert listed[0] == 0
    assert "/lab/greeting [std_msgs/msg/String]\n" in listed[1]
    assert kind == (0, "std_msgs/msg/String\n")
    assert code == 0, text
    assert "Type: std_msgs/msg/Float64MultiArray" in text
    assert "Publisher count: 1" in text and "Subscription count: 0" in text
    assert "Node namespace: /lab" in text and "Reliability: BEST_EFFORT" in text


def test_topic_echo_gets_what_was_latched_before_it_came(node, ros2):
    assert ros2("topic", "echo", "--once", "/lab/greeting") == (0, "data: hello\n---\n")


def test_topic_echo_matches_best_effort_and_cuts_long_arrays(node, at_once):
    (code, text), field = at_once(
        "topic echo --once /lab/signal",
        "topic echo --once --field layout.data_offset /lab/signal",
    )
    assert code == 0, text
    assert text.count("- 1.5\n") == 128
    assert "- '...'\n" in text
    assert field == (0, "0\n---\n")


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


def test_service_list_type_and_call(node, at_once):
    listed, kind, (code, text) = at_once(
        "service list", "service type /lab/switch",
        "service call /lab/switch std_srvs/srv/SetBool '{data: true}'",
    )
    assert listed[0] == 0 and "/lab/switch\n" in listed[1]
    assert kind == (0, "std_srvs/srv/SetBool\n")
    assert code == 0, text
    assert "std_srvs.srv.SetBool_Response(success=True, message='switched True')" in text


def test_parameters(node, at_once):
    listed, value, refused, described, dumped, missing = at_once(
        "param list /lab/probe", "param get /lab/probe gain", "param set /lab/probe gain 7.0",
        "param describe /lab/probe gain", "param dump /lab/probe", "param get /lab/probe nothing",
    )
    assert listed[0] == 0 and "  gain\n" in listed[1] and "  nested.depth\n" in listed[1]
    assert value == (0, "Double value is: 0.5\n")
    assert refused[0] == 1
    assert "Setting parameter failed" in refused[1] and "out of range" in refused[1]
    assert "Description: a gain without unit" in described[1]
    assert "Max value: 1.0" in described[1]
    assert "    nested:\n      depth: 0.0\n" in dumped[1]
    assert missing[0] == 1
    assert at_once("param set /lab/probe gain 0.75")[0][0] == 0
    assert at_once("param get --hide-type /lab/probe gain") == [(0, "0.75\n")]


def test_lifecycle(node, ros2, at_once):
    listed, state, (code, text) = at_once(
        "lifecycle nodes", "lifecycle get /lab/probe", "lifecycle set /lab/probe activate"
    )
    assert listed == (0, "/lab/probe\n")
    assert state == (0, "unconfigured [1]\n")
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


@pytest.mark.parametrize("words", [("topic", "list"), ("node", "list"), ("param", "list")])
def test_what_people_type_by_habit_is_taken(node, ros2, words):
    code, text = ros2(*words, "--no-daemon", "--spin-time", "2")
    assert code == 0, text
    assert "/lab" in text


@pytest.mark.parametrize(
    "words",
    [
        ("topic", "echo", "/lab/greeting", "--csv"),
        ("run", "--prefix", "gdb", "rlt_learner", "report"),
        ("launch", "--print", "some.launch.py"),
        ("bag", "record"),
        ("topic", "bw", "/lab/greeting"),
    ],
)
def test_what_only_the_original_has_is_said_in_one_sentence(ros2, words):
    code, text = ros2(*words)
    assert code == 2
    assert text.count("\n") == 1
    assert "a ROS 2 Jazzy installation has the rest" in text
    assert next(word for word in words[::-1] if word in text)  # it names what is not here


def test_a_screen_without_utf_8_loses_a_sign_and_not_the_rest(node, start):
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    pub = start(
        "ros2", "topic", "pub", "--once", "-w", "0", "/lab/words", "std_msgs/msg/String",
        '{data: "caf\\u00e9"}', **ascii_only,
    )
    assert pub.end() == 0, pub.text
    assert "String(data='caf\\xe9')" in pub.text
