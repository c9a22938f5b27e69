//! Training in each precision that the device offers, and what it does not offer.

use crate::{CLASSES, WORKS, learner, on_gpu, small, step};
use xray_model::{Backend, Error, Learner, LearnerConfig, Precision};

const ALL: [Precision; 4] = [Precision::F32, Precision::Tf32, Precision::Bf16, Precision::F16];

fn config(precision: Precision) -> LearnerConfig {
    LearnerConfig { model: small(), backend: Backend::Wgpu, precision, ..LearnerConfig::new(CLASSES) }
}

fn pixels() -> Vec<f32> {
    (0..2 * 32 * 32).map(|i| (i % 7) as f32 / 3.5 - 1.0).collect()
}

/// The learner, or which precisions there are instead of this one.
fn offered(precision: Precision) -> Result<Learner, Vec<Precision>> {
    match Learner::new(&config(precision), 5) {
        Ok(learner) => Ok(learner),
        Err(Error::Precision { asked, device, offered }) => {
            assert!(asked == precision && !device.is_empty());
            Err(offered)
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "what is not tested, and why")]
fn a_precision_is_that_of_training_or_an_error_that_names_the_others() {
    if learner(small()).is_none() {
        return;
    }
    let (mut there, mut listed) = (Vec::new(), Vec::new());
    let mut losses = Vec::new();
    for precision in ALL {
        match offered(precision) {
            Ok(mut learner) => {
                there.push(precision);
                assert_eq!(learner.device().precision, precision);
                let counted = learner.count_step(4, 32).expect("small").expect("a GPU counts");
                let before = learner.work().expect("a GPU counts");
                step(&mut learner, 4, 32);
                assert_eq!(learner.work().expect("a GPU counts").since(before), counted, "{precision}");
                (0..5).for_each(|_| step(&mut learner, 4, 32));
                let records = learner.records().expect(WORKS);
                assert!(records.iter().all(|record| record.skipped_at.is_none()), "{records:?}");
                losses.push(records.iter().map(|record| record.loss).collect::<Vec<_>>());
                // In float32 as others would, unless it is asked for as in training.
                let exact = learner.predictor().expect(WORKS).predict(&pixels(), 32).expect(WORKS);
                let fast = learner.predictor_as_trained().expect(WORKS).predict(&pixels(), 32).expect(WORKS);
                assert_eq!(exact, learner.predict(&pixels(), 32).expect(WORKS));
                assert_eq!(exact == fast, precision == Precision::F32, "{precision}: {exact:?} {fast:?}");
            }
            Err(offered) => {
                eprintln!("skipped: this Vulkan driver lists no {precision} matrix instructions");
                listed.push(offered);
            }
        }
    }
    assert_eq!(there[0], Precision::F32);
    assert!(listed.iter().all(|offered| *offered == there), "{listed:?} and {there:?}");
    for (precision, losses_in) in there.iter().zip(&losses) {
        let close = losses[0].iter().zip(losses_in).all(|(exact, loss)| (exact - loss).abs() < 2e-2);
        assert!(close, "{precision}: {losses_in:?}, in f32 {:?}", losses[0]);
    }
}

/// Scoring by a learner whose steps round factors is that of one with its weights which does not.
#[test]
fn weights_score_the_same_wherever_they_were_trained() {
    for precision in ALL {
        let Some(_) = learner(small()) else { return };
        let Ok(mut rounding) = offered(precision) else { continue };
        (0..3).for_each(|_| step(&mut rounding, 4, 32));
        let mut exact = on_gpu(config(Precision::F32)).expect("as before");
        let mut state = rounding.state().expect(WORKS);
        state.tensors.remove("optimizer.loss_scale");
        exact.restore(&state, 3).expect("the same network");
        let [found, expected] = [&rounding, &exact].map(|of| of.predict(&pixels(), 32).expect(WORKS));
        assert_eq!(found, expected, "{precision}");
    }
}

#[test]
fn a_processor_offers_f32_only() {
    for backend in [Backend::Cpu, Backend::Flex] {
        let learner = |precision| Learner::new(&LearnerConfig { backend, ..config(precision) }, 5);
        assert_eq!(learner(Precision::F32).expect("every device").device().precision, Precision::F32);
        let error = learner(Precision::F16).err().expect("no processor");
        let Error::Precision { offered, .. } = &error else { panic!("{error}") };
        assert_eq!(*offered, [Precision::F32]);
        assert_eq!(
            error.hint().expect("one"),
            "it offers f32; name that by --precision, or take another device"
        );
    }
}
