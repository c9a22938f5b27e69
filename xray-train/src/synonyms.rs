//! What people from elsewhere call a setting or one of its values: PyTorch, Keras, timm and MONAI have words of their own.
//! Asked before the nearest name by letters.

/// What is said of a key that is not known, where it is a word for something that is.
pub(crate) fn of_key(key: &str) -> Option<String> {
    let word = plain(key.rsplit('.').next().unwrap_or(key));
    KEYS.iter().find(|(words, _)| words.contains(&&*word)).map(|(_, hint)| (*hint).to_owned())
}

/// What is said of a value that the setting `key` does not have, where it is a word for one that it has.
pub(crate) fn of_value(key: &str, value: &str) -> Option<String> {
    let word = plain(value);
    let row = VALUES.iter().find(|(of, words, _)| *of == key && words.contains(&&*word))?;
    Some(row.2.to_owned())
}

/// Letters and digits only, in lower case: `pos_weight`, `posWeight` and `pos-weight` are one word.
fn plain(word: &str) -> String {
    word.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Words for settings, as [`plain`] writes them, and the hint.
const KEYS: &[(&[&str], &str)] = &[
    (
        &["lr", "baselr", "initlr", "initiallr", "stepsize", "eta"],
        "the learning rate is `schedule.learning_rate`, or --learning-rate",
    ),
    (
        &["epochs", "epoch", "numepochs", "nepochs", "maxepochs", "totalepochs"],
        "write training.duration=\"5 epochs\", or --epochs 5",
    ),
    (
        &["steps", "maxsteps", "numsteps", "iterations", "maxiter", "niter", "iters"],
        "write training.duration=\"2000 steps\", or --steps 2000",
    ),
    (
        &["bs", "batch", "nbatch", "trainbatchsize", "perdevicetrainbatchsize"],
        "the batch size is `training.batch_size`, or --batch-size",
    ),
    (
        &["gradientaccumulationsteps", "accumulategradbatches", "accumulation", "gradaccum"],
        "set `training.micro_batch`, the images that go through the network at once",
    ),
    (
        &["posweight", "posweights", "positiveweight", "classweight", "classweights", "weighted", "balanced"],
        "weights of positives come with the loss: loss.name=weighted-bce, bounded by `loss.max_weight`",
    ),
    (
        &["amp", "mixedprecision", "autocast", "fp16", "bf16", "f16", "half", "dtype", "usefp16", "tf32"],
        "the setting is `precision`: f16, bf16 or tf32 on a GPU; a CPU computes in f32 only",
    ),
    (
        &["fold", "nfolds", "numfolds", "kfold", "kfolds", "nsplits", "cv", "folds", "crossvalidation"],
        "set both `data.folds`, how many there are, and `data.fold`, the one that validates (from 0)",
    ),
    (&["wd", "l2", "decay", "weightdecay"], "did you mean `optimizer.weight_decay`?"),
    (&["beta1", "betas"], "Adam's betas are `optimizer.momentum` and `optimizer.beta2`"),
    (&["eps"], "did you mean `optimizer.epsilon`?"),
    (&["optim", "optimizername", "opt", "optimizer"], "did you mean `optimizer.algorithm`?"),
    (
        &[
            "clip",
            "clipgrad",
            "gradclip",
            "gradientclip",
            "gradientclipval",
            "maxgradnorm",
            "clipnorm",
            "maxnorm",
        ],
        "did you mean `optimizer.clip_norm`?",
    ),
    (&["scheduler", "lrscheduler", "lrschedule", "sched"], "did you mean `schedule.shape`?"),
    (&["warmup", "warmupepochs", "warmupratio", "numwarmupsteps"], "did you mean `schedule.warmup_steps`?"),
    (&["patience"], "set `training.early_stopping`, or `schedule.plateau_patience`"),
    (
        &["imagesize", "imgsize", "inputsize", "resolution", "resize", "imgsz", "cropsize"],
        "the image size is `preprocessing.size`, or --size",
    ),
    (
        &["model", "modelname", "arch", "network", "net", "backbone", "encoder"],
        "the network is `model.architecture`, or --model",
    ),
    (
        &["pretrained", "weights", "checkpoint", "ckpt", "init", "loadfrom"],
        "first weights come from `fine_tuning.weights`, or --init FILE; --from RUN continues a finished run",
    ),
    (
        &["freeze", "freezebackbone", "frozenepochs", "freezeepochs"],
        "set `fine_tuning.frozen`, such as \"1 epochs\" or always; or --freeze backbone",
    ),
    (&["ema", "emadecay", "modelema", "swa"], "did you mean `training.average_decay`?"),
    (&["smoothing", "labelsmooth"], "did you mean `training.label_smoothing`?"),
    (&["tta", "testtimeaugmentation"], "did you mean `model.flip`?"),
    (&["hflip", "horizontalflip", "randomhorizontalflip", "mirror"], "did you mean `augmentation.flip`?"),
    (&["rotation", "rotate", "degrees"], "did you mean `augmentation.rotation_degrees`?"),
    (&["augmentations", "transforms"], "the group is `augmentation`; data.augment=false turns it off"),
    (&["numworkers", "workers", "nproc", "jobs", "njobs"], "did you mean `threads`?"),
    (&["randomstate", "randomseed", "manualseed", "rng"], "did you mean `seed`?"),
    (
        &["device", "gpu", "gpus", "cuda", "accelerator"],
        "the device is `backend`: cpu, wgpu for a GPU, or auto",
    ),
    (&["criterion", "lossfn", "lossfunction", "objective"], "did you mean `loss.name`?"),
    (&["subset", "datafraction", "trainfraction", "limittrainbatches"], "did you mean `data.fraction`?"),
    (&["datadir", "dataset", "datapath", "root", "path"], "the folder of shards is `data.dir`, or --data"),
    (&["output", "outputdir", "outdir", "savedir", "logdir", "rundir"], "the run directory is --run DIR"),
    (&["dropout", "droprate", "dropconnect", "stochasticdepth"], "the networks here have no dropout"),
];

/// Words for values of a setting.
const VALUES: &[(&str, &[&str], &str)] = &[
    (
        "model.architecture",
        &["densenet", "densenet121res224all", "chexnet", "densenet169", "densenet201"],
        "the DenseNet here is `densenet-121`, CheXNet's",
    ),
    (
        "model.architecture",
        &["resnet", "resnet34", "resnet101", "resnet152", "resnet50v2"],
        "the ResNets here are `resnet-18` and `resnet-50`",
    ),
    (
        "model.architecture",
        &["mobilenet", "mobilenetv3", "mobilenetv3small", "mobilenetv3large"],
        "the MobileNet here is `mobilenet-v2`",
    ),
    (
        "model.architecture",
        &[
            "efficientnet",
            "effnet",
            "effnetb0",
            "efficientnetb1",
            "efficientnetb2",
            "efficientnetb3",
            "efficientnetb4",
            "efficientnetv2",
            "efficientnetv2s",
        ],
        "the EfficientNet here is `efficientnet-b0`",
    ),
    ("model.architecture", &["cnn", "simplecnn", "smallcnn", "basic", "small"], "did you mean `small-cnn`?"),
    (
        "model.architecture",
        &[
            "vit",
            "vitb16",
            "swin",
            "convnext",
            "convnexttiny",
            "deit",
            "vgg",
            "vgg16",
            "inception",
            "inceptionv3",
            "xception",
            "alexnet",
        ],
        "that network is not here; `densenet-121` is the usual one for chest X-rays",
    ),
    (
        "loss.name",
        &[
            "bcewithlogits",
            "bcewithlogitsloss",
            "binarycrossentropy",
            "crossentropy",
            "ce",
            "logloss",
            "bceloss",
        ],
        "did you mean `bce`?",
    ),
    (
        "loss.name",
        &["weighted", "weightedce", "weightedbcewithlogits", "wbce", "posweight", "balanced"],
        "did you mean `weighted-bce`?",
    ),
    ("loss.name", &["focalloss", "sigmoidfocal"], "did you mean `focal`?"),
    ("loss.name", &["asl", "asymmetricloss"], "did you mean `asymmetric`?"),
    (
        "schedule.shape",
        &["cosineannealing", "cosineannealinglr", "cos", "cosinedecay"],
        "did you mean `cosine`?",
    ),
    ("schedule.shape", &["reducelronplateau", "reduceonplateau"], "did you mean `plateau`?"),
    ("schedule.shape", &["none", "fixed", "flat", "constantlr"], "did you mean `constant`?"),
    (
        "optimizer.algorithm",
        &["momentum", "nesterov", "sgdm"],
        "did you mean `sgd`, with `optimizer.momentum`?",
    ),
    (
        "backend",
        &["gpu", "vulkan", "metal", "rocm", "hip", "nvidia", "dx12", "webgpu", "mps"],
        "a GPU is `wgpu`; `auto` uses one if there is one",
    ),
    ("precision", &["fp16", "float16", "half", "16", "16mixed", "amp"], "did you mean `f16`?"),
    ("precision", &["bfloat16", "bf16mixed"], "did you mean `bf16`?"),
    ("precision", &["fp32", "float32", "float", "single", "32", "full"], "did you mean `f32`?"),
    ("data.cache", &["memory", "mem"], "did you mean `ram`?"),
    ("data.cache", &["off", "no", "false"], "did you mean `none`?"),
    ("data.uncertain", &["uzeros", "zeros", "0", "negative"], "did you mean `zero`?"),
    ("data.uncertain", &["uones", "ones", "1", "positive"], "did you mean `one`?"),
    ("data.uncertain", &["uignore", "drop", "mask"], "did you mean `ignore`?"),
    ("preprocessing.filter", &["nearest", "area"], "did you mean `box`?"),
    ("preprocessing.filter", &["linear", "triangle", "bicubic"], "did you mean `bilinear`?"),
    ("preprocessing.filter", &["lanczos"], "did you mean `lanczos3`?"),
    ("training.keep", &["none", "best", "model"], "did you mean `result`?"),
    ("training.keep", &["last", "checkpoint", "checkpoints"], "did you mean `resumable`?"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use std::collections::BTreeSet;

    #[test]
    fn words_of_others_lead_to_settings() {
        let check = |key: &str, part: &str| {
            let hint = of_key(key).unwrap_or_else(|| panic!("{key}"));
            assert!(hint.contains(part), "{key}: {hint}");
        };
        check("pos_weight", "loss.name=weighted-bce");
        check("loss.pos_weight", "loss.name=weighted-bce");
        check("amp", "`precision`");
        check("fold", "`data.fold`");
        check("training.lr", "`schedule.learning_rate`");
    }

    #[test]
    fn words_of_others_lead_to_values() {
        let found = of_value("model.architecture", "DenseNet");
        assert_eq!(found.as_deref(), Some("the DenseNet here is `densenet-121`, CheXNet's"));
        assert_eq!(of_value("loss.name", "DenseNet"), None);
    }

    /// What hints name in backquotes is a setting, a group or a name of the setting.
    #[test]
    fn hints_name_what_there_is() {
        let groups = ["augmentation"];
        for (words, hint) in KEYS {
            for name in hint.split('`').skip(1).step_by(2) {
                assert!(reference::find(name).is_some() || groups.contains(&name), "{hint}");
            }
            assert!(words.iter().all(|word| **word == plain(word)), "{words:?}");
        }
        for (key, words, hint) in VALUES {
            let setting = reference::find(key).expect(key);
            let names = setting.values.range();
            let names: BTreeSet<&str> = names.split(", ").collect();
            for name in hint.split('`').skip(1).step_by(2) {
                assert!(names.contains(name) || reference::find(name).is_some(), "{hint}");
            }
            assert!(words.iter().all(|word| **word == plain(word)), "{words:?}");
        }
    }

    #[test]
    fn no_word_stands_twice() {
        let words: Vec<_> = KEYS.iter().flat_map(|(words, _)| *words).collect();
        assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len());
        let words: Vec<_> =
            VALUES.iter().flat_map(|(key, words, _)| words.iter().map(move |w| (key, w))).collect();
        assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len());
    }
}
