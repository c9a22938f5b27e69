//! A visible sign for each of the fourteen findings.

use super::SynthConfig;
use super::anatomy::{Anatomy, Place, Side};
use super::population::Case;
use super::texture::{Texture, bump, edge};
use xray_random::Random;

/// Something drawn over the chest. Strengths are gray values at the strongest place.
#[derive(Clone, Debug)]
pub(super) enum Sign {
    /// A shadow in the lung: an oval, with an edge from sharp (0) to gone (1), smooth or mottled.
    Shadow { at: [f32; 2], radii: [f32; 2], softness: f32, mottle: Option<Texture>, strength: f32 },
    /// A straight line.
    Line { from: [f32; 2], to: [f32; 2], width: f32, strength: f32 },
    /// Fluid above the diaphragm, climbing at the ribs.
    Fluid { side: Side, height: f32 },
    /// Air between lung and ribs: no vessels, and the lung's edge as a fine line.
    Gap { side: Side, width: f32, strength: f32 },
    /// Haze about both hila, and short lines at the ribs.
    Haze { strength: f32 },
    /// A net of lines, most of it low and outside.
    Net { texture: Texture, strength: f32 },
    /// A rim along the ribs.
    Rim { side: Side, width: f32, upper: f32, strength: f32 },
    /// A round shadow with gas above fluid, behind the heart.
    GasBubble { at: [f32; 2], radius: f32, strength: f32 },
}

/// The signs of `case`'s findings; those that change the chest's shape change `anatomy`.
///
/// Where a finding sits belongs to the patient, how strong it is to the film.
pub(super) fn draw(config: &SynthConfig, case: &Case, anatomy: &mut Anatomy) -> Vec<Sign> {
    let mut signs = Vec::new();
    for (finding, present) in case.labels.into_iter().enumerate() {
        if present && config.contrast > 0.0 {
            let key = finding as u64;
            let mut film = Random::keyed(&[config.seed, 5, case.patient, case.follow_up, key]);
            // Squared: subtle cases are as frequent as in practice, that is, more than obvious ones.
            let strength = config.contrast * (0.15 + 0.85 * film.unit().powi(2)) as f32;
            let mut draw = Draw {
                patient: Random::keyed(&[config.seed, 4, case.patient, key]),
                anatomy,
                signs: &mut signs,
                strength,
            };
            SIGN_OF[finding](&mut draw);
        }
    }
    signs
}

/// In the usual order of the fourteen findings.
const SIGN_OF: [fn(&mut Draw<'_>); 14] = [
    |draw| draw.atelectasis(),
    |draw| draw.cardiomegaly(),
    |draw| draw.effusion(),
    |draw| draw.infiltration(),
    |draw| draw.mass(),
    |draw| draw.nodule(),
    |draw| draw.pneumonia(),
    |draw| draw.pneumothorax(),
    |draw| draw.consolidation(),
    |draw| draw.edema(),
    |draw| draw.emphysema(),
    |draw| draw.fibrosis(),
    |draw| draw.pleural_thickening(),
    |draw| draw.hernia(),
];

struct Draw<'a> {
    patient: Random,
    anatomy: &'a mut Anatomy,
    signs: &'a mut Vec<Sign>,
    /// Of the sign: about 1 when it is obvious.
    strength: f32,
}

impl Draw<'_> {
    fn between(&mut self, low: f64, high: f64) -> f32 {
        self.patient.between(low, high) as f32
    }

    fn side(&mut self) -> Side {
        if self.patient.unit() < 0.5 { Side::Right } else { Side::Left }
    }

    /// A place in a lung, at a depth of 0 (top) to 1 (base).
    fn in_lung(&mut self, side: Side, shallowest: f64, deepest: f64) -> [f32; 2] {
        let depth = self.between(shallowest, deepest);
        let base = self.anatomy.base[usize::from(side == Side::Left)] - 0.8 * self.anatomy.dome;
        let r = self.between(0.14, 0.28);
        [side.sign() * r, self.anatomy.apex + depth * (base - self.anatomy.apex)]
    }

    fn shadow(&mut self, at: [f32; 2], radii: [f32; 2], softness: f32, strength: f32) {
        let strength = strength * self.strength.min(2.0);
        self.signs.push(Sign::Shadow { at, radii, softness, mottle: None, strength });
    }

    fn mottled_shadow(&mut self, at: [f32; 2], radii: [f32; 2], strength: f32) {
        let mottle = Some(Texture::new(&mut self.patient));
        let strength = strength * self.strength.min(2.0);
        self.signs.push(Sign::Shadow { at, radii, softness: 0.8, mottle, strength });
    }

    /// Collapsed lung: plates above a raised half of the diaphragm.
    fn atelectasis(&mut self) {
        let side = self.side();
        let strength = self.strength;
        self.anatomy.base[usize::from(side == Side::Left)] -= 0.06 * strength.min(1.5);
        for _ in 0..2 {
            let [x, y] = self.in_lung(side, 0.65, 0.95);
            let (length, slope) = (self.between(0.05, 0.10), self.between(-0.3, 0.3));
            let width = self.between(0.006, 0.010);
            let (from, to) = ([x - length, y - slope * length], [x + length, y + slope * length]);
            self.signs.push(Sign::Line { from, to, width, strength: 0.30 * strength });
        }
    }

    /// A wide heart.
    fn cardiomegaly(&mut self) {
        self.anatomy.heart[0] *= 1.0 + 0.55 * self.strength.min(1.5);
    }

    fn effusion(&mut self) {
        let side = self.side();
        let height = 0.27 * self.strength.min(1.5);
        self.signs.push(Sign::Fluid { side, height });
    }

    /// Several faint patches in one or both lungs.
    fn infiltration(&mut self) {
        for _ in 0..3 {
            let side = self.side();
            let at = self.in_lung(side, 0.25, 0.95);
            let radii = [self.between(0.05, 0.09), self.between(0.05, 0.09)];
            self.mottled_shadow(at, radii, 0.22);
        }
    }

    /// A round shadow above three centimetres.
    fn mass(&mut self) {
        let side = self.side();
        let (at, radius) = (self.in_lung(side, 0.15, 0.85), self.between(0.04, 0.07));
        self.shadow(at, [radius, radius * 0.9], 0.12, 0.34);
    }

    /// A round shadow below three centimetres.
    fn nodule(&mut self) {
        let side = self.side();
        let (at, radius) = (self.in_lung(side, 0.1, 0.9), self.between(0.014, 0.026));
        self.shadow(at, [radius, radius], 0.2, 0.36);
    }

    /// One mottled lobe, low.
    fn pneumonia(&mut self) {
        let side = self.side();
        let at = self.in_lung(side, 0.6, 0.9);
        let radii = [self.between(0.09, 0.12), self.between(0.06, 0.10)];
        self.mottled_shadow(at, radii, 0.42);
    }

    fn pneumothorax(&mut self) {
        let side = self.side();
        let (width, strength) = (0.025 + 0.075 * self.strength.min(1.5), 0.17 * self.strength.min(2.0));
        self.signs.push(Sign::Gap { side, width, strength });
    }

    /// One dense lobe with a clear edge.
    fn consolidation(&mut self) {
        let side = self.side();
        let at = self.in_lung(side, 0.2, 0.85);
        let radii = [self.between(0.09, 0.13), self.between(0.06, 0.10)];
        self.shadow(at, radii, 0.35, 0.36);
    }

    fn edema(&mut self) {
        self.signs.push(Sign::Haze { strength: 0.34 * self.strength });
    }

    /// Dark, long lungs, a flat diaphragm and a narrow heart.
    fn emphysema(&mut self) {
        let (strength, anatomy) = (self.strength.min(1.3), &mut self.anatomy);
        anatomy.lung_gray -= 0.10 * strength;
        anatomy.markings *= 1.0 - 0.6 * strength.min(1.0);
        anatomy.dome *= 1.0 - 0.8 * strength;
        anatomy.base.iter_mut().for_each(|base| *base += 0.06 * strength);
        anatomy.half_width += 0.015 * strength;
        anatomy.heart[0] *= 1.0 - 0.18 * strength;
    }

    fn fibrosis(&mut self) {
        let texture = Texture::new(&mut self.patient);
        self.signs.push(Sign::Net { texture, strength: 0.30 * self.strength });
    }

    fn pleural_thickening(&mut self) {
        let (side, upper) = (self.side(), self.between(-0.2, 0.5));
        let width = 0.015 + 0.030 * self.strength.min(1.5);
        self.signs.push(Sign::Rim { side, width, upper, strength: 0.30 * self.strength.min(2.0) });
    }

    /// The stomach above the diaphragm, seen through the heart.
    fn hernia(&mut self) {
        let at = [self.between(-0.01, 0.06), self.anatomy.base[1] - self.between(0.08, 0.12)];
        let radius = self.between(0.05, 0.075);
        self.signs.push(Sign::GasBubble { at, radius, strength: 0.45 * self.strength });
    }
}

/// What signs add at one place: gray in the lung, gray anywhere, and how much air and vessels they leave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effect {
    pub(super) in_lung: f32,
    pub(super) anywhere: f32,
    pub(super) air: f32,
    pub(super) vessels: f32,
}

impl Effect {
    pub(super) const NONE: Effect = Effect { in_lung: 0.0, anywhere: 0.0, air: 1.0, vessels: 1.0 };
}

impl Sign {
    /// Adds this sign to the others' effect.
    pub(super) fn act(&self, place: &Place, effect: &mut Effect) {
        let Place { x, y, r, side: here, .. } = *place;
        match *self {
            Sign::Shadow { at, radii, softness, mottle, strength } => {
                let distance = 1.0 - ((x - at[0]) / radii[0]).hypot((y - at[1]) / radii[1]);
                if distance > -1.0 {
                    let grain = mottle.map_or(1.0, |texture| 1.0 + 0.9 * texture.mottle(x * 38.0, y * 38.0));
                    effect.in_lung += strength * grain * edge(distance, softness);
                }
            }
            Sign::Line { from, to, width, strength } => {
                effect.in_lung += strength * bump(distance_to_line([x, y], from, to), width);
            }
            Sign::Fluid { side, height } if side == here => {
                let climb = ((r - 0.08) / 0.28).clamp(0.0, 1.0).powi(2);
                let surface = place.diaphragm.max(y.min(place.diaphragm)) - height * (0.25 + 0.75 * climb);
                effect.air *= 1.0 - edge(y - surface, 0.014);
            }
            Sign::Gap { side, width, strength } if side == here => {
                let wall = rounded_least(place.from_ribs, place.depth * 0.5) - 0.004;
                let width = width * (1.25 - 0.75 * place.depth.clamp(0.0, 1.0));
                let outside = edge(width - wall, 0.004);
                effect.in_lung += strength * (bump(wall - width, 0.004) - 0.7 * outside);
                effect.vessels *= 1.0 - outside;
            }
            Sign::Haze { strength } => {
                let wing = bump(r - 0.15, 0.11) * bump(place.depth - 0.5, 0.35);
                let lines = edge(0.05 - place.from_ribs, 0.02) * edge(place.depth - 0.55, 0.1);
                let lines = 0.35 * lines * (y * 260.0).sin().max(0.0);
                effect.in_lung += strength * (wing + lines);
            }
            Sign::Net { texture, strength } => {
                // Bent, so that the noise's lattice does not show.
                let bend = 0.7 * texture.at(x * 13.0, y * 13.0);
                let net = texture.lines(x * 42.0 + bend, y * 42.0 - bend, 2.4) - 0.25;
                let where_ =
                    (0.25 + 0.75 * edge(place.depth - 0.55, 0.35)) * edge(0.16 - place.from_ribs, 0.12);
                effect.in_lung += strength * net * where_;
            }
            Sign::Rim { side, width, upper, strength } if side == here => {
                let wall = edge(width - rounded_least(place.from_ribs, place.depth * 0.4), 0.006);
                effect.in_lung += strength * wall * bump(place.depth - upper - 0.2, 0.35);
            }
            Sign::GasBubble { at, radius, strength } => {
                let distance = (x - at[0]).hypot(y - at[1]) - radius;
                let inside = edge(-distance, 0.006);
                let gas = edge(at[1] + 0.2 * radius - y, 0.004);
                effect.anywhere += strength * (0.6 * bump(distance, 0.007) + inside * (0.35 - 1.0 * gas));
            }
            Sign::Fluid { .. } | Sign::Gap { .. } | Sign::Rim { .. } => {}
        }
    }
}

/// The lesser of two distances from walls, with the corner between the walls rounded.
fn rounded_least(a: f32, b: f32) -> f32 {
    if a <= 0.0 || b <= 0.0 { a.min(b) } else { (a.powi(-3) + b.powi(-3)).powf(-1.0 / 3.0) }
}

fn distance_to_line(point: [f32; 2], from: [f32; 2], to: [f32; 2]) -> f32 {
    let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
    let along = ((point[0] - from[0]) * dx + (point[1] - from[1]) * dy) / (dx * dx + dy * dy);
    let along = along.clamp(0.0, 1.0);
    (point[0] - from[0] - along * dx).hypot(point[1] - from[1] - along * dy)
}
