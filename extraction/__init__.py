"""Two-stream I3D features from video files."""
