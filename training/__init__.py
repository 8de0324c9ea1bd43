"""Models that say what sounds, and everything that trains, runs and measures them. Start reading here.

What a run is stands in five modules of this folder. `config.py` says what a run can be told, with the ranges of
`ranges.py`; `configs/` holds YAML files of values. `registry.py` lists the models and builds the one of a config.
`task.py` says what a task is: the one place where instance segmentation (`avis`) and masks without identities (`avs`)
differ. `device.py` chooses the GPU or CPU.

Each command starts in one module:

    avis-data train-baseline    run/train.py
    avis-data predict           predict/predict.py
    avis-data visualize         predict/visualize.py, and predict/visualize_avs.py for masks
    avis-data benchmark-model   predict/benchmark.py
    avis-data stress run        predict/stress.py
    avis-data weights convert   checkpoints/conversion.py

The rooms, each of which knows only those above it:

**data/** reads datasets and makes samples of them. `clips.py` says what a model gets and gives.
  Clips in the AVISeg layout: `split.py` opens a split, `sampling.py` draws frames, `augment.py` changes them,
  `negatives.py` gives samples another sound, `loading.py` does all that in worker processes; `source.py` is a clip to
  predict, `video_dataset.py` makes a dataset of one video.
  Their sound: `audio_features.py` lists the kinds and reads those that were computed before; `audio_windows.py`
  computes VGGish before each frame; `audio_summary.py` needs no weights; `audio_slices.py` makes pictures of the
  sound. `audio_sound.py` reads WAV files, `frame_times.py` says when a frame is.
  COCO pictures as clips, in `stills/`: `coco.py` reads them, `pseudo_clips.py` makes samples, `measured.py` measures.
  AVSBench datasets: `avsbench.py` opens a split of S4, MS3 or AVSS, `avsbench_sound.py` reads the sound.

**models/** holds the networks. `spec.py` says what a model must offer. Each model has a folder: `model.py` with the
  whole of it, its losses and targets, the names in published checkpoints, and `spec.py`, which is its entry in the
  registry.

    AVISM             avism/       RCF               rcf/
    AFCV, CrossVIS    afcv/        AVS-BG, TPAVI     avs_bg/

  They share `backbones.py` (ResNet, Swin, PVT v2) and `backbone_weights.py` (their published names), `frames.py`
  (normalising, padding), `positions.py` (sine codes), `attention.py`, `matcher.py` (sets), `losses.py` (dice, classes,
  masks), `attention_maps.py` (where a model looks), `targets.py`,
  `points.py` (masks at points), `inference.py` (from heads to tracks), `online.py` (frame by
  frame), `renaming.py` (names of tensors by rules), `shared.py` (one batch in several processes),
  `host.py` (what need not wait for a GPU).

**checkpoints/** is about files of weights. `trained.py` reads files of ours, which say their own config.
  `start_weights.py` takes whatever `--init` names, folders of transformers by `hugging_face.py` and
  `mask2former_names.py`; `load_report.py` says what of it fitted. `conversion.py` makes a published checkpoint one of
  ours.

**predict/** uses a trained model: `predict.py`, `benchmark.py`, `max_frames.py` (the longest clip), `visualize.py` and
  `visualize_avs.py`; `attention.py` draws where a model looks, `stress.py` does it with other
  sounds. `results.py` writes and reads what is predicted: result
  files, pictures of masks.

**run/** trains. `train.py` begins a run and `loop.py` is the loop; `optimiser.py` changes the weights,
  `distributed.py` joins the processes of torchrun, `division.py` divides a batch among them, `run_folder.py` keeps
  checkpoints, `training_log.py` tells people, `own_files.py` tells the doctor which files a run has.
  `avis_task.py` and `avs_task.py` are the two tasks, `validation.py` measures and draws tracks while a model learns.
"""
