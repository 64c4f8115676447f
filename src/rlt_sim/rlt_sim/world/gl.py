"""Choice of the OpenGL platform for headless rendering, made before MuJoCo is imported.

MuJoCo reads ``MUJOCO_GL`` once, at import.  Without it, it assumes a desktop and fails on a server.
"""

import ctypes
import ctypes.util
import os

INSTALL_LINE = "apt-get install -y --no-install-recommends libegl1 libgl1 libosmesa6"

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


def select_gl_platform() -> str:
    """Set ``MUJOCO_GL`` to the platform that works here; the user's own setting wins.

    Must run before ``mujoco`` is imported.  Mesa's software rasteriser is told to stay in the
    calling thread (``LP_NUM_THREADS``): a 64-pixel image is too small to share out, and a pool of
    spinning threads would slow the learner down.

    Returns:
        ``egl``, ``osmesa``, the user's value, or ``disable`` where nothing can render; physics
        then still works and ``World.render`` raises a `RuntimeError` that says what to install.
    """
    os.environ.setdefault("LP_NUM_THREADS", "0")
    if not os.environ.get("MUJOCO_GL"):
        os.environ["MUJOCO_GL"] = (
            "egl" if _egl_works() else "osmesa" if _osmesa_works() else "disable"
        )
    return os.environ["MUJOCO_GL"]
