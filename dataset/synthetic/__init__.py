"""A synthetic demonstration data set in the layout of the real one.

    python -m dataset.synthetic --output data/demo
    python -m dataset.synthetic --output data/full --train_videos 200 --test_videos 210 \
        --classes 20 --mean_seconds 205

The second command has the size of THUMOS14. An action is a fixed order of sub-actions, the same
for every instance of its class, at varying speed. Before and after it, and sometimes without it,
the video shows the context of its class; the rest is background, from scenes that all classes
share. The timelines have the statistics of THUMOS14, the features those of two-stream I3D. Nothing
is imported here, so that the command starts quickly.
"""
