//! The phantoms: the same everywhere, as sick as asked, and with signs that can be measured.

use rayon::ThreadPoolBuilder;
use xray_image::{SynthConfig, SynthImage, encode_png, synthesise};

fn images(config: &SynthConfig) -> Vec<SynthImage> {
    synthesise(config).collect()
}

fn config(images: u64, size: u32) -> SynthConfig {
    SynthConfig { images, size, seed: 11, ..SynthConfig::default() }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let with = |threads| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| images(&config(600, 24)))
    };
    let one = with(1);
    assert_eq!(one, with(3));
    assert_eq!(one.len(), 600);
}

#[test]
fn fewer_images_are_a_prefix_of_more() {
    let few = images(&config(40, 16));
    assert_eq!(few[..], images(&config(300, 16))[..40]);
}

#[test]
fn another_seed_gives_other_people() {
    let first = images(&config(50, 16));
    let second = images(&SynthConfig { seed: 12, ..config(50, 16) });
    assert!(first.iter().zip(&second).all(|(a, b)| a.image != b.image));
    assert_ne!(
        first.iter().map(|image| image.labels).collect::<Vec<_>>(),
        second.iter().map(|image| image.labels).collect::<Vec<_>>()
    );
}

#[test]
fn identities_count_up_and_follow_ups_differ() {
    let all = images(&config(400, 16));
    for pair in all.windows(2) {
        let (a, b) = (&pair[0], &pair[1]);
        assert_eq!(a.image_id[..8], a.patient_id);
        assert!(a.image_id < b.image_id, "{} then {}", a.image_id, b.image_id);
        assert_ne!(a.image, b.image);
        if a.patient_id == b.patient_id {
            assert_eq!((a.age, a.sex), (b.age, b.sex));
        }
    }
    assert!(all.iter().all(|image| image.age <= 95 && ["M", "F"].contains(&image.sex)));
    assert!(["PA", "AP"].iter().all(|view| all.iter().any(|image| image.view == *view)));
}

#[test]
fn a_film_uses_the_gray_range_and_packs_like_one() {
    for image in images(&config(20, 96)) {
        let pixels = &image.image.pixels;
        let (dark, bright) = (pixels.iter().filter(|&&p| p < 60), pixels.iter().filter(|&&p| p > 150));
        assert!(dark.count() > 100 && bright.count() > 1000, "{}", image.image_id);
        // Noise and structure: not a drawing of a few flat grays.
        assert!(encode_png(&image.image).len() > pixels.len() / 2);
    }
}
