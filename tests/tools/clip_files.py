"""Video files for tests: good ones, and each kind of bad one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from phybench.video.video_file import write_frames


def write_clip(path: Path, frames: int = 6, size: int = 16, value: int = 90) -> Path:
    pixels = np.full((frames, size, size, 3), value, np.uint8)
    for number in range(frames):
        pixels[number, :, number % size] = 255 - value
    write_frames(path, pixels, 8)
    return path


def write_bad_clip(path: Path, kind: str) -> Path:
    if kind == "no frame rate":
        return write_clip_without_rate(path)
    good = write_clip(path.with_name(f"whole-{path.name}"), frames=40, size=64).read_bytes()
    data = {
        "zero bytes": b"",
        "not a video": b"%PDF-1.4 nothing to see",
        "truncated": good[: len(good) // 2],
        "text": b"a ball falls\n" * 100,
    }[kind]
    path.write_bytes(data)
    return path


def write_clip_without_rate(path: Path) -> Path:
    """Matroska whose frames all stand at time 0, with the header's frame duration blanked out."""
    import io

    import av

    memory = io.BytesIO()
    with av.open(memory, "w", format="matroska") as container:
        stream = container.add_stream("mjpeg", rate=8)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuvj420p"
        for number in range(4):
            pixels = np.full((16, 16, 3), 60 * number, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels)):
                packet.pts = packet.dts = 0
                container.mux(packet)
    data = bytearray(memory.getvalue())
    start = data.index(bytes.fromhex("23E383"))  # DefaultDuration: identifier, size byte, value
    size = 4 + (data[start + 3] & 0x7F)
    data[start : start + size] = bytes([0xEC, 0x80 | (size - 2), *bytes(size - 2)])  # a Void
    path.write_bytes(data)
    return path


BAD_KINDS = ("zero bytes", "not a video", "truncated", "text", "no frame rate")
