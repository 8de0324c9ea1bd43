"""Models that say what sounds, and everything that trains, runs and measures them. Start reading here.

    avis-data train-baseline    train.py             loop.py runs it; task.py says what differs between the two tasks
    avis-data predict           predict.py           predict_avs.py for masks; `--stream`: online.py
    avis-data visualize         visualize.py         visualize_avs.py for masks; drawn by avis_data.report
    avis-data benchmark-model   benchmark.py
    avis-data weights convert   checkpoints/         conversion.py

A run, from left to right:

    config.py, configs/*.yaml  ->  registry.py  ->  data  ->  model  ->  losses  ->  loop.py  ->  run_folder.py
    what is wanted                 which model      samples    losses     matcher     weights      checkpoints, log

**Models** (docs/training.md, docs/baselines.md). Each is a module with `forward(batch) -> losses` and `predict(clip)`;
its objective is the file of losses beside it.

    AVISM             models/avism/model.py;   avism/losses.py
    RCF               models/rcf/model.py;     rcf/losses.py
    AFCV, CrossVIS    models/afcv/model.py;    afcv/losses.py
    AVS-BG, TPAVI     models/avs_bg/model.py;  avs_bg/losses.py

**Parts that models share.** In models/: backbones.py (ResNet, Swin, PVT v2), frames.py (normalising, padding),
positions.py (sine codes), attention.py (transformer pieces with positions).
Dynamic filters are of two kinds: one product with a map in
models/rcf/network.py, three layers of each instance's own in models/afcv/mask_head.py. Here: matcher.py (sets),
losses.py (dice, classes, masks), targets.py, points.py (masks at points), inference.py (heads to tracks),
online.py (frame by frame).

**Data.** In data/: clips.py says what a model gets and gives.

    AVISeg layout     split.py opens a split; sampling.py draws frames, augment.py changes them, loading.py does both in
                      worker processes; source.py is a clip to predict; video_dataset.py makes a dataset of one video
    sound of it       audio_features.py names the kinds and reads those computed before; audio_windows.py
                      (VGGish before each frame), audio_summary.py (no weights), audio_slices.py (pictures of it);
                      audio_sound.py reads WAVs, frame_times.py says when a frame is
    AVSBench layout   avsbench_layout.py (S4, MS3, AVSS), avsbench.py, avsbench_sound.py

**A run.** In run/: loop.py with optimiser.py, distributed.py (torchrun), training_log.py, run_folder.py,
validation.py (measured while it learns), avs_task.py (what is different for AVSBench). Of predict/: results.py (result
files), avs_masks.py (pictures of masks).

**Weights.** In checkpoints/: trained.py: files of ours, which say their config; the others: what people published.
start_weights.py takes whatever `--init` names; models/backbone_weights.py, hugging_face.py and each model's
official_names.py map names (by the rules of models/renaming.py), official_shapes.py reads the architecture off the
tensors; conversion.py writes ours.
"""
