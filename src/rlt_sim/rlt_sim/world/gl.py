"""Choice of the OpenGL platform for headless rendering, made before MuJoCo is imported.

MuJoCo reads ``MUJOCO_GL`` once, at import.  Without it, it assumes a desktop and fails on a server.
"""

import ctypes
import ctypes.util
import os
import sys

INSTALL_LINE = "apt-get install -y --no-install-recommends libegl1 libgl1"

_OFF = ("disable", "disabled", "off", "false", "0")
_WINDOWS = ("glfw", "glx", "enable", "enabled", "on", "true", "1")
_EGL_PLATFORM_DEVICE = 0x313F
_MAX_DEVICES = 16


def _egl_works() -> bool:
    """Whether some EGL device of this machine can be initialised (what MuJoCo will ask for)."""
    try:
        egl = ctypes.CDLL(ctypes.util.find_library("EGL") or "libEGL.so.1")
        egl.eglGetProcAddress.restype = ctypes.c_void_p
        names = (b"eglQueryDevicesEXT", b"eglGetPlatformDisplayEXT")
        addresses = [egl.eglGetProcAddress(name) for name in names]
    except (OSError, AttributeError):
        return False
    if not all(addresses):
        return False
    query_devices = ctypes.CFUNCTYPE(
        ctypes.c_uint, ctypes.c_int, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_int)
    )(addresses[0])
    get_display = ctypes.CFUNCTYPE(
        ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p
    )(addresses[1])
    devices = (ctypes.c_void_p * _MAX_DEVICES)()
    count = ctypes.c_int(0)
    if not query_devices(_MAX_DEVICES, devices, ctypes.byref(count)):
        return False
    egl.eglInitialize.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    return any(
        egl.eglInitialize(get_display(_EGL_PLATFORM_DEVICE, device, None), None, None)
        for device in devices[: count.value]
    )


def _osmesa_works() -> bool:
    """Whether the OSMesa software renderer is installed."""
    return ctypes.util.find_library("OSMesa") is not None


def why_not(platform: str) -> str | None:
    """Why a value of ``MUJOCO_GL`` cannot render on this machine; None if it can.

    Args:
        platform: the value; one that switches rendering off is the user's choice, and accepted.
    """
    if platform in _OFF:
        return None
    if platform == "egl":
        return None if _egl_works() else "no EGL device answers"
    if platform == "osmesa":
        return None if _osmesa_works() else "libOSMesa is not installed"
    if platform in _WINDOWS:
        shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        return None if shown else "there is no display"
    return "MuJoCo knows egl, osmesa, glfw and disable"


def select_gl_platform() -> str:
    """Set ``MUJOCO_GL`` to the platform that works here; the user's own setting takes precedence.

    Must run before ``mujoco`` is imported.  Mesa's software rasteriser is kept in the
    calling thread (``LP_NUM_THREADS``): a 64-pixel image is too small to share out, and a pool of
    spinning threads would slow the learner down.

    Returns:
        ``egl``, ``osmesa``, the user's value, or ``disable`` where nothing can render; physics
        then still works and ``World.render`` raises a `RuntimeError` that says what to install.

    Raises:
        RuntimeError: the user's value cannot work here.
    """
    os.environ.setdefault("LP_NUM_THREADS", "0")
    wish = os.environ.get("MUJOCO_GL", "").lower().strip()  # as MuJoCo reads it
    if not wish:
        os.environ["MUJOCO_GL"] = next(p for p in ("egl", "osmesa", "disable") if not why_not(p))
    elif reason := why_not(wish):
        raise RuntimeError(f"MUJOCO_GL={wish} cannot render here: {reason}; fix or unset it")
    return os.environ["MUJOCO_GL"]


if __name__ == "__main__":  # env.sh checks this before it installs anything
    try:
        select_gl_platform()
    except RuntimeError as error:
        sys.exit(str(error))
