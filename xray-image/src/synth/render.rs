//! From a chest and its signs to gray values.

use super::SynthConfig;
use super::anatomy::{Anatomy, Place};
use super::population::Case;
use super::signs::{Effect, Sign};
use super::texture::{Texture, bump, edge, normal};
use crate::GrayImage;
use xray_random::Random;

/// Gray of what lies below the diaphragm, and of the heart and the vessels beside it.
const SOLID: f32 = 0.80;

/// Draws the film.
pub(super) fn render(config: &SynthConfig, case: &Case, anatomy: &Anatomy, signs: &[Sign]) -> GrayImage {
    let mut random = Random::keyed(&[config.seed, 6, case.patient, case.follow_up]);
    let film = Film::of(case, &mut random);
    let size = config.size;
    let pixel = |i: u32| {
        let across = ((i % size) as f32 + 0.5) / size as f32 - 0.5;
        let down = ((i / size) as f32 + 0.5) / size as f32;
        let [x, y] = anatomy.place(across, down);
        let gray = film.develop(gray_at(anatomy, signs, x, y) + film.wires_at(x, y), across, down);
        ((gray + config.noise * normal(&mut random)) * 255.0).round() as u8
    };
    GrayImage { width: size, height: size, pixels: (0..size * size).map(pixel).collect() }
}

/// Gray of the chest at a place: 0 what stops nothing, 1 what stops everything.
fn gray_at(anatomy: &Anatomy, signs: &[Sign], x: f32, y: f32) -> f32 {
    let r = x.abs();
    // The neck, then shoulders that slope more and more.
    let shoulders = y - 0.55 * (r - 0.12).max(0.0).powf(1.3);
    let body = edge(shoulders, 0.02) * edge(anatomy.body - r + 0.06 * (y - 0.5), 0.015);
    if body == 0.0 {
        return 0.0;
    }
    let place = anatomy.at(x, y);
    let mut effect = Effect::NONE;
    for sign in signs {
        sign.act(&place, &mut effect);
    }
    let air = place.air * effect.air;
    let vessels = anatomy.vessels_at(&place) * effect.vessels;
    let lung = anatomy.lung_gray + 0.06 * place.depth + vessels + effect.in_lung;
    let behind_heart = 0.35 * place.lung * place.heart * effect.in_lung;
    let mut gray = soft_tissue(anatomy, &place) * (1.0 - air) + lung * air;
    gray += behind_heart + anatomy.bones_at(&place) + anatomy.midline_at(x, y) + breast(anatomy, &place);
    body * (gray + effect.anywhere)
}

/// Gray of muscle, belly, heart and the great vessels.
fn soft_tissue(anatomy: &Anatomy, place: &Place) -> f32 {
    let Place { x, y, r, .. } = *place;
    let wall = 0.50 - 0.25 * edge(r - anatomy.half_width - 0.04, 0.06) * edge(0.75 - y, 0.2);
    let belly = edge(y - place.diaphragm, 0.012) * edge(anatomy.half_width + 0.04 - r, 0.03);
    let middle = bump(x - 0.005, 0.062).max(place.heart);
    wall + (SOLID - wall) * (belly + place.lung).min(1.0).max(middle)
}

fn breast(anatomy: &Anatomy, place: &Place) -> f32 {
    if anatomy.breast == 0.0 {
        return 0.0;
    }
    let centre = anatomy.base[1] - 0.02;
    let distance = ((place.r - 0.21) / 1.1).hypot(place.y - centre) - anatomy.breast;
    0.07 * edge(-distance, 0.012)
}

/// What differs from film to film besides the patient: exposure, grain, wires.
struct Film {
    gain: f32,
    offset: f32,
    gamma: f32,
    /// Slow change of brightness over the film, across and down.
    slope: [f32; 2],
    grain: Texture,
    /// Leads on the chest of those who lie: start, end, sag.
    wires: Vec<[f32; 5]>,
}

impl Film {
    fn of(case: &Case, random: &mut Random) -> Film {
        let mut draw = |low: f64, high: f64| random.between(low, high) as f32;
        let (gain, offset, gamma) = (draw(0.85, 1.12), draw(-0.05, 0.05), draw(0.85, 1.2));
        let slope = [draw(-0.06, 0.06), draw(-0.06, 0.06)];
        let count = if case.ap { draw(0.0, 4.0) as usize } else { 0 };
        let wires = (0..count)
            .map(|_| [draw(-0.4, 0.4), draw(0.0, 0.9), draw(-0.3, 0.3), draw(0.2, 1.0), draw(-0.2, 0.2)]);
        let wires = wires.collect();
        Film { gain, offset, gamma, slope, grain: Texture::new(random), wires }
    }

    fn wires_at(&self, x: f32, y: f32) -> f32 {
        let wire = |&[x0, y0, x1, y1, sag]: &[f32; 5]| {
            let along = (y - y0) / (y1 - y0);
            if !(0.0..=1.0).contains(&along) {
                return 0.0;
            }
            let centre = x0 + (x1 - x0) * along + sag * along * (1.0 - along);
            0.18 * bump(x - centre, 0.004)
        };
        self.wires.iter().map(wire).sum()
    }

    /// The film's response to `gray`.
    fn develop(&self, gray: f32, across: f32, down: f32) -> f32 {
        let cloud = 0.03 * self.grain.at(across * 5.0 + 9.0, down * 5.0);
        let light = self.slope[0] * across + self.slope[1] * (down - 0.5) + cloud;
        let exposed = (gray * (1.0 + light) * self.gain + self.offset).clamp(0.0, 1.0);
        exposed.powf(self.gamma)
    }
}
