"""Clips as files and as pixels."""

from phybench.video.video_file import VideoError, read_frames, write_frames

__all__ = ["VideoError", "read_frames", "write_frames"]
