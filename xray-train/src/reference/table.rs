//! The rows. A new setting fails a test until it has one.

use super::{Setting, Values};
use std::ops::Bound::{Excluded, Included, Unbounded};

const ANY: i64 = i64::MAX;
const SHARE: Values = Values::Number(Included(0.0), Excluded(1.0));
const AT_LEAST_0: Values = Values::Number(Included(0.0), Unbounded);
const ABOVE_0: Values = Values::Number(Excluded(0.0), Unbounded);

const fn up_to(most: f64) -> Values {
    Values::Number(Included(0.0), Included(most))
}

const fn row(key: &'static str, values: Values, meaning: &'static str) -> Setting {
    Setting { key, values, meaning }
}

pub(super) const SETTINGS: &[Setting] = &[
    row("seed", Values::Whole(0, ANY), "Seed of first weights, order of records and augmentation."),
    row(
        "threads",
        Values::Whole(0, ANY),
        "Threads that compute, and as many that read; 0 for one per processor. Changes no number on the CPU.",
    ),
    row(
        "backend",
        Values::Names(&["cpu", "auto", "wgpu", "flex", "wgpu-burn", "cuda", "ndarray"]),
        "Where the network computes. `cpu`: this processor. `wgpu`: a GPU, by `xray-train-gpu`, which must lie beside \
         `xray-train`. `auto`: a real GPU where there is one, else the processor. `flex`: burn's own operations on the \
         processor, for comparison. The others are for development and need a build with their feature.",
    ),
    row(
        "precision",
        Values::Names(&["f32", "tf32", "bf16", "f16"]),
        "What a GPU rounds the factors of convolutions to in training. A CPU computes in `f32` only. Weights, sums, \
         statistics and scores are float32 in all of them.",
    ),
    row(
        "data.dir",
        Values::Folder,
        "The folder of shards. Without it, a synthetic set is made once in `data/synthetic` and used.",
    ),
    row(
        "data.fraction",
        Values::Number(Excluded(0.0), Included(1.0)),
        "Share of the training records to use.",
    ),
    row(
        "data.fraction_offset",
        SHARE,
        "Where that share begins among the training records, so that trials can differ in data too.",
    ),
    row(
        "data.features",
        Values::Text,
        "Names of the features in TFRecords made by others: `xray`, `kaggle-nih`, `image-encoded`, `jpg-bytes` or \
         `chexpert-lower`. Detected where it is not set.",
    ),
    row(
        "data.patients",
        Values::File,
        "For TFRecords made by others: a table that says which patient each image belongs to.",
    ),
    row(
        "data.folds",
        Values::Whole(0, ANY),
        "Number of folds of a cross-validation, 2 or more; 0 for none. The patients of train and validation together are \
         divided among them.",
    ),
    row(
        "data.fold",
        Values::Whole(-1, ANY),
        "The fold that validates, numbered from 0, while the others train; -1 for none. Set together with `data.folds`.",
    ),
    row(
        "data.cache",
        Values::Names(&["ram", "disk", "none"]),
        "Where prepared images are kept between epochs. Changes no number.",
    ),
    row(
        "data.skip_bad",
        Values::Whole(0, ANY),
        "How many bad records are left out and counted. One more ends the run.",
    ),
    row("data.augment", Values::Switch, "Whether training images are changed at random (`augmentation`)."),
    row(
        "data.uncertain",
        Values::Names(&["ignore", "zero", "one"]),
        "What training makes of labels that the source calls uncertain (-1 in CheXpert). Scores never count them.",
    ),
    row(
        "preprocessing.size",
        Values::Whole(16, 4096),
        "Width and height of the network's input, in pixels. All networks but `small-cnn` need at least 32.",
    ),
    row(
        "preprocessing.crop",
        Values::Names(&["squash", "center", "pad"]),
        "What happens to an image that is not square. `squash` scales width and height separately, `center` cuts out the \
         largest centred square, `pad` adds black borders.",
    ),
    row(
        "preprocessing.filter",
        Values::Names(&["box", "bilinear", "lanczos3", "gaussian"]),
        "How images are resized. All filters are antialiased.",
    ),
    row(
        "preprocessing.mean",
        Values::Number(Unbounded, Unbounded),
        "Subtracted from pixel values scaled to 0..1.",
    ),
    row("preprocessing.std", ABOVE_0, "Divides the difference."),
    row("augmentation.rotation_degrees", up_to(180.0), "Largest rotation to either side, in degrees."),
    row("augmentation.shift_fraction", up_to(0.5), "Largest shift along each axis, as a share of the side."),
    row("augmentation.scale_fraction", up_to(1.0), "Largest zoom: 0.1 draws from 1/1.1 to 1.1."),
    row(
        "augmentation.brightness",
        up_to(1.0),
        "Largest change of brightness, as a share of the range of gray levels.",
    ),
    row(
        "augmentation.contrast",
        up_to(1.0),
        "Largest change of contrast: 0.1 multiplies the distance from mid-gray by 0.9 to 1.1.",
    ),
    row(
        "augmentation.flip",
        Values::Switch,
        "Whether every second training image is mirrored. A mirrored chest has its heart on the wrong side.",
    ),
    row(
        "model.architecture",
        Values::Network,
        "The network. Other spellings are understood, such as torchvision's `resnet18`.",
    ),
    row(
        "model.width",
        Values::Whole(0, 1024),
        "Channels of the first convolution, or DenseNet's growth rate. The other layers follow from it. 0 for the paper's.",
    ),
    row(
        "model.channels",
        Values::OneOf(&[1, 3]),
        "Channels of the input. 3 repeats the gray image, for weights of colour images.",
    ),
    row(
        "model.flip",
        Values::Switch,
        "Whether an image's score is the mean over the image and its mirror image, which takes twice the time.",
    ),
    row("loss.name", Values::Names(&["bce", "weighted-bce", "focal", "asymmetric"]), "The loss to minimise."),
    row(
        "loss.max_weight",
        ABOVE_0,
        "Upper bound of a positive's weight. The weight is negatives ÷ positives of the training records, per label.",
    ),
    row("loss.gamma", AT_LEAST_0, "Focusing exponent: easy examples count less."),
    row("loss.alpha", up_to(1.0), "Weight of positives; negatives weigh 1 − alpha."),
    row("loss.gamma_positive", AT_LEAST_0, "Focusing exponent of positives."),
    row("loss.gamma_negative", AT_LEAST_0, "Focusing exponent of negatives."),
    row("loss.margin", SHARE, "Negatives with a probability below this margin count nothing."),
    row("optimizer.algorithm", Values::Names(&["adam", "adamw", "sgd"]), "The update rule."),
    row("optimizer.momentum", SHARE, "Adam's β₁, or SGD's momentum."),
    row("optimizer.beta2", SHARE, "Adam's β₂."),
    row("optimizer.epsilon", AT_LEAST_0, "Added to the root of the mean square, in Adam."),
    row(
        "optimizer.weight_decay",
        AT_LEAST_0,
        "AdamW: weights shrink by this times the learning rate. Adam and SGD: added to the gradient. Biases and batch norm \
         are exempt.",
    ),
    row(
        "optimizer.clip_norm",
        AT_LEAST_0,
        "Gradients are scaled down to this global norm; 0 for no clipping.",
    ),
    row(
        "schedule.shape",
        Values::Names(&["constant", "cosine", "plateau"]),
        "How the learning rate changes after the warm-up. `cosine` falls over the whole training, `plateau` falls when \
         validation stops improving.",
    ),
    row("schedule.learning_rate", ABOVE_0, "The learning rate after the warm-up."),
    row(
        "schedule.warmup_steps",
        Values::Whole(0, ANY),
        "Steps over which the rate rises linearly from near 0.",
    ),
    row("schedule.final_fraction", AT_LEAST_0, "Cosine: the last rate, as a share of `learning_rate`."),
    row("schedule.plateau_factor", ABOVE_0, "Plateau: the rate is multiplied by this."),
    row(
        "schedule.plateau_patience",
        Values::Whole(0, u32::MAX as i64),
        "Plateau: evaluations without a better score before that happens.",
    ),
    row("training.duration", Values::Length, "How long training lasts."),
    row("training.batch_size", Values::Whole(1, 65_536), "Images per step."),
    row(
        "training.micro_batch",
        Values::Whole(0, ANY),
        "Images that go through the network at once, for less memory: gradients are added up, and batch norm sees this many \
         images. 0 for all.",
    ),
    row(
        "training.max_time",
        Values::TimeOrNone,
        "Training ends after this much time, with the best weights so far. The run then counts as finished.",
    ),
    row("training.evaluate_every", Values::Length, "How often validation is scored; also at the end."),
    row(
        "training.checkpoint_every",
        Values::Length,
        "How often a checkpoint is written; also at the end and when stopped.",
    ),
    row(
        "training.checkpoint_time",
        Values::Time,
        "A checkpoint is written after this much time at the latest.",
    ),
    row(
        "training.early_stopping",
        Values::Whole(0, u32::MAX as i64),
        "Training ends after this many evaluations without a better score; 0 for never.",
    ),
    row(
        "training.average_decay",
        SHARE,
        "Decay of a moving average of the weights, such as 0.999. The average is then scored and kept. 0 for none.",
    ),
    row("training.label_smoothing", SHARE, "How far training labels are moved towards even odds."),
    row("training.log_every", Values::Whole(1, ANY), "Steps between lines of `metrics.jsonl`."),
    row(
        "training.tensorboard",
        Values::Switch,
        "Whether curves and settings are also written for TensorBoard.",
    ),
    row(
        "training.keep",
        Values::Names(&["all", "resumable", "result"]),
        "What is kept of a finished run. `result`: no checkpoint. `resumable`: also the last checkpoint and the best weights, \
         so that `--from` can continue with the optimizer's state. `all`: everything.",
    ),
    row(
        "training.first_epoch",
        Values::Whole(0, ANY),
        "Number of the first epoch. Order and augmentation are drawn by it, so a run that continues another (`--from`) does \
         not see the same ones again.",
    ),
    row(
        "training.bootstrap_resamples",
        Values::Whole(0, u32::MAX as i64),
        "0 leaves out the intervals of the final scores. Any other number keeps them and changes nothing else.",
    ),
    row(
        "fine_tuning.weights",
        Values::File,
        "A safetensors or PyTorch file of first weights; `none` to draw them at random.",
    ),
    row(
        "fine_tuning.head",
        Values::Names(&["keep", "replace"]),
        "Whether the file's last layer is kept or replaced by a new one.",
    ),
    row(
        "fine_tuning.partial",
        Values::Switch,
        "Whether tensors that do not fit are left out instead of refused.",
    ),
    row(
        "fine_tuning.part",
        Values::Text,
        "Which network of a file that holds several, such as `encoder_k`. By default the one that gradients trained.",
    ),
    row(
        "fine_tuning.optimizer",
        Values::Switch,
        "Whether the optimizer's state is taken from the file too, which must then be a checkpoint. `--from` sets it.",
    ),
    row("fine_tuning.frozen", Values::LengthOrAlways, "How long only the last layer learns."),
    row(
        "fine_tuning.backbone_rate",
        AT_LEAST_0,
        "Learning rate of all layers but the last, as a multiple of the last one's; 0 freezes them.",
    ),
];
