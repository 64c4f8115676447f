#!/usr/bin/env bash
# What env.sh runs before it sets up the shell: make .venv, build what is stale, say what is wrong.
# Usage: prepare.sh installed|wheels   (where ROS 2 comes from; quiet where nothing is to do)
set -euo pipefail

ros="$1"
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
venv="$root/.venv"
IMPORTED="cv2, matplotlib.pyplot, mujoco, pytest, rclpy.lifecycle, rclpy.experimental, safetensors.torch, \
torch.optim.adam, torch.utils.tensorboard, yaml, rcl_interfaces.msg, sensor_msgs.msg, geometry_msgs.msg"
log="$root/log/env.log"
lock="$root/requirements/$([ "$ros" = installed ] && echo jazzy || echo wheels).txt"

say() { echo "[rlt] $*"; }
fail() {
    echo "env.sh: $*" >&2
    exit 1
}

# ---- System: an interpreter, a compiler, libraries ------------------------------------------------

# Prints the first interpreter that starts (the shims of version managers may not) and fits.
find_python() {
    local candidate candidates=(python3 python3.12 python3.11 python3.10)
    [ "$ros" = installed ] && candidates=(/usr/bin/python3)
    for candidate in "${candidates[@]}"; do
        "$candidate" -c 'import sys
if not (3, 10) <= sys.version_info[:2] <= (3, 12): sys.exit(1)
print(sys.executable)' 2>/dev/null && return
    done
    fail "needs Python 3.10, 3.11 or 3.12 and found $(python3 --version 2>&1 | tail -n 1);" \
        "install one of them (apt-get install python3 python3-venv) and source env.sh again"
}

check_machine() {
    local free
    if [ "$ros" = wheels ] && [ "$(uname -sm)" != "Linux x86_64" ]; then
        fail "ROS 2 wheels exist for Linux x86_64 only, this is $(uname -sm);" \
            "install ROS 2 Jazzy (docs.ros.org) and source env.sh again"
    fi
    free="$(df -Pm "$root" | awk 'NR == 2 {print $4}')"
    [ "$free" -ge 4000 ] ||
        fail "needs 4000 MB of disk at $root and $free MB are free; make room and source env.sh again"
}

has_library() { { /sbin/ldconfig -p || ldconfig -p; } 2>/dev/null | grep -F "$1" >/dev/null; }

missing_packages() {
    command -v c++ >/dev/null || echo g++
    command -v make >/dev/null || echo make
    "$python" -c 'import ensurepip' 2>/dev/null || echo python3-venv
    has_library libGL.so.1 || echo libgl1
    has_library libgthread-2.0.so.0 || echo libglib2.0-0
    has_library libEGL.so.1 || has_library libOSMesa.so || echo libegl1
}

install_packages() {
    local missing as_root=(env DEBIAN_FRONTEND=noninteractive)
    mapfile -t missing < <(missing_packages)
    [ "${#missing[@]}" = 0 ] && return
    [ "$(id -u)" = 0 ] || as_root=(sudo -n "${as_root[@]}")
    if command -v apt-get >/dev/null && "${as_root[@]}" true 2>/dev/null; then
        say "installing system packages: ${missing[*]}"
        {
            "${as_root[@]}" apt-get install -y --no-install-recommends "${missing[@]}" ||
                { "${as_root[@]}" apt-get update &&
                    "${as_root[@]}" apt-get install -y --no-install-recommends "${missing[@]}"; }
        } >>"$log" 2>&1 </dev/null && return
    fi
    fail "system packages are missing; install them and source env.sh again:" \
        "sudo apt-get install -y ${missing[*]}"
}

# ---- Python packages ------------------------------------------------------------------------------

explain_pip() {
    if grep -q "No space left" "$log"; then
        fail "the disk is full; make room (4 GB at $root) and source env.sh again"
    elif grep -qE "name resolution|NewConnectionError|ConnectTimeout|No matching distribution" "$log"; then
        fail "pip could not download the packages; check the network or pip's proxy settings and" \
            "source env.sh again (details: $log)"
    fi
    fail "pip could not install the packages; the reason stands at the end of $log"
}

pip() { "$venv/bin/python" -m pip --disable-pip-version-check --no-input "$@" >>"$log" 2>&1; }

# The CPU build, from where pip is configured to look or else from PyTorch's own index.
install_torch() {
    local pin
    pin="$(grep '^torch==' "$lock")"
    pip install --no-compile --no-deps --retries 0 "$pin" ||
        pip install --no-compile --no-deps --retries 0 \
            --index-url https://download.pytorch.org/whl/cpu "$pin"
}

# Where neither answers. It also works without a GPU.
install_public_torch() {
    local pin
    pin="$(grep '^torch==' "$lock")"
    say "PyTorch's CPU index does not answer: taking the public build with CUDA (5 GB on disk)"
    pip install --no-compile --retries 1 "${pin%+cpu}"
}

# The lock file of the wheels is complete; over an installation pip must look at what is there.
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
    install_torch & # at the same time: it weighs as much as all the others
    torch=$!
    install_rest || { kill "$torch" 2>/dev/null; explain_pip; }
    wait "$torch" || install_public_torch || explain_pip
}

add_ros2_command() {
    pip install --no-deps --no-build-isolation --use-pep517 -e "$root/tools/ros2_wheels" || explain_pip
    "$venv/bin/python" -m ros2_wheels.mend
}

# .venv is good if it was made in this folder, from this lock file, and its Python still starts.
prepare_venv() {
    local stamp
    stamp="$({ echo "$root $ros"; cat "$lock"; } | sha256sum)"
    [ "$stamp" = "$(cat "$venv/rlt.stamp" 2>/dev/null)" ] && "$venv/bin/python" -c '' && return
    : >"$log"
    check_machine
    python="$(find_python)"
    install_packages
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

# What the build of a package reads: its package files and interfaces, and of what is installed from
# the top of the repository the names. The packages are linked, not copied: an edited Python, launch
# or configuration file needs no build.
package_stamp() {
    local package="$1"
    {
        cat "$venv/rlt.stamp" colcon.meta
        find "src/$package" -type f \( -name package.xml -o -name 'setup.*' -o -name CMakeLists.txt \
            -o -name '*.msg' -o -name '*.srv' -o -name '*.action' \) -print0 | sort -z | xargs -0 cat
        if [ "$package" = rlt_bringup ]; then
            find launch config models -type f -not -name '*.pyc' 2>/dev/null | sort || true
        fi
    } | sha256sum
}

# Prints the packages whose last build read something else; all of them the first time.
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
    export VIRTUAL_ENV="$venv" PATH="$venv/bin:$PATH"
    if [ "$ros" = wheels ]; then
        export AMENT_PREFIX_PATH="$venv" CMAKE_PREFIX_PATH="$venv"
        options+=(-DRLT_PYTHON_ONLY=ON)
    fi
    # Meanwhile the byte code of what every node imports, once instead of in every process: where
    # PYTHONDONTWRITEBYTECODE is set, as in many containers, none of them would keep it.
    env -u PYTHONDONTWRITEBYTECODE "$venv/bin/python" -c "import $IMPORTED" >>"$log" 2>&1 &
    warm=$!
    "$venv/bin/python" -m colcon build --base-paths src --packages-select "${stale[@]}" \
        --symlink-install --cmake-args "${options[@]}" >>"$log" 2>&1 || {
        grep -E "^(Failed|Aborted) |[Ee]rror" "$log" | tail -n 15 >&2
        fail "the build failed; the whole output is in $log"
    }
    wait "$warm" || fail "an installed package cannot be imported; the reason stands in $log"
    for package in "${stale[@]}"; do
        package_stamp "$package" >"install/$package/rlt.stamp"
    done
}

# Two terminals may come at the same time: the second waits and finds all done.
mkdir -p "$root/log" && exec 9>"$root/log/env.lock" ||
    fail "cannot write to $root; clone the repository into a folder of your own"
flock 9
prepare_venv
prepare_ros2_command
build_workspace
