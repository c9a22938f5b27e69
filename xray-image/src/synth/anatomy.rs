//! The shape of one patient's chest on one film.
//!
//! Lengths are parts of the picture's side. Across, zero is the middle and the patient's left is positive (it
//! is on the viewer's right); down, zero is the upper edge.

use super::population::Case;
use super::texture::{Texture, bump, edge};
use xray_random::Random;

/// Which side of the chest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Side {
    /// The viewer's left.
    Right,
    /// The viewer's right, where the heart is.
    Left,
}

impl Side {
    pub(super) fn of(across: f32) -> Side {
        if across < 0.0 { Side::Right } else { Side::Left }
    }

    pub(super) fn sign(self) -> f32 {
        if self == Side::Left { 1.0 } else { -1.0 }
    }
}

/// Measures of a chest; some findings change them.
#[derive(Clone, Debug)]
pub(super) struct Anatomy {
    /// Top of the lungs.
    pub(super) apex: f32,
    /// Height of the angle between diaphragm and ribs; right, left.
    pub(super) base: [f32; 2],
    /// How far the diaphragm's dome rises above it.
    pub(super) dome: f32,
    /// From the midline to the ribs.
    pub(super) half_width: f32,
    /// From the midline to the lungs' inner border.
    pub(super) medial: f32,
    /// Half of the heart's width and height.
    pub(super) heart: [f32; 2],
    /// Gray value of the lungs: 0 black.
    pub(super) lung_gray: f32,
    /// Strength of the lungs' vessels.
    pub(super) markings: f32,
    /// Half of the body's width; more than a half fills the picture.
    pub(super) body: f32,
    /// Radius of the breasts' shadows; zero for none.
    pub(super) breast: f32,
    rib_spacing: f32,
    rib_phase: f32,
    rib_strength: f32,
    spine: f32,
    /// Position of the film: rotation, zoom and shift.
    turn: [f32; 2],
    shift: [f32; 2],
    vessels: Texture,
    bones: Texture,
}

impl Anatomy {
    /// The chest of `case`'s patient as positioned for this film.
    pub(super) fn of(seed: u64, case: &Case) -> Anatomy {
        let mut patient = Random::keyed(&[seed, 2, case.patient]);
        let mut film = Random::keyed(&[seed, 3, case.patient, case.follow_up]);
        let mut own = |low: f64, high: f64| patient.between(low, high) as f32;
        let mut now = |low: f64, high: f64| film.between(low, high) as f32;
        let (old, child) = ((f32::from(case.age) / 90.0).min(1.0), case.age < 14);
        let small = if case.female { 0.95 } else { 1.0 } * if child { 0.92 } else { 1.0 };
        let ap = f32::from(u8::from(case.ap));
        // Lying patients breathe in less, and the heart lies farther from the film.
        let base = own(0.70, 0.80) - 0.05 * ap + now(-0.02, 0.02);
        let heart = own(0.125, 0.15) * (1.0 + 0.10 * ap) * (0.95 + 0.15 * old);
        let angle = now(-0.05, 0.05) * (1.0 + ap);
        let zoom = 1.0 / (small * now(0.95, 1.06));
        Anatomy {
            apex: own(0.10, 0.16),
            base: [base - own(0.01, 0.035), base],
            dome: own(0.06, 0.10),
            half_width: own(0.345, 0.40),
            medial: own(0.065, 0.085),
            heart: [heart, own(0.12, 0.15)],
            lung_gray: own(0.24, 0.34) + 0.04 * ap,
            markings: own(0.10, 0.16) + 0.03 * ap,
            body: own(0.44, 0.60),
            breast: if case.female && !child { own(0.08, 0.17) } else { 0.0 },
            rib_spacing: own(0.075, 0.095),
            rib_phase: own(0.0, 1.0),
            rib_strength: own(0.05, 0.10) * (1.2 - 0.5 * old),
            spine: own(0.03, 0.08) - 0.02 * ap,
            turn: [zoom * angle.cos(), zoom * angle.sin()],
            shift: [now(-0.03, 0.03), now(-0.03, 0.03)],
            vessels: Texture::new(&mut patient),
            bones: Texture::new(&mut patient),
        }
    }

    /// From a place on the film to the place in the chest.
    pub(super) fn place(&self, across: f32, down: f32) -> [f32; 2] {
        let (x, y) = (across + self.shift[0], down - 0.5 + self.shift[1]);
        let [cos, sin] = self.turn;
        [x * cos - y * sin, x * sin + y * cos + 0.5]
    }

    /// What is at a place in the chest.
    pub(super) fn at(&self, x: f32, y: f32) -> Place {
        let side = Side::of(x);
        let r = x.abs();
        let base = self.base[usize::from(side == Side::Left)];
        let depth = (y - self.apex) / (base - self.apex);
        let profile = (1.0 - (1.0 - depth.clamp(0.0, 1.0)).powf(2.6)).sqrt();
        let axis = 0.17 + 0.03 * depth;
        let from_ribs = axis + (self.half_width - axis) * profile - r;
        let from_midline = r - axis + (axis - self.medial) * profile;
        let diaphragm = base - self.dome * (1.0 - ((r - 0.2) / 0.19).powi(2)).max(-0.3);
        let lung = edge(from_ribs, 0.008) * edge(from_midline, 0.010) * edge(diaphragm - y, 0.008);
        let heart = self.heart_at(x, y);
        Place { x, y, r, side, depth, from_ribs, diaphragm, lung, air: lung * (1.0 - heart), heart }
    }

    /// The heart's shadow: the left ventricle, the right atrium, and the aortic arch.
    fn heart_at(&self, x: f32, y: f32) -> f32 {
        let middle = self.base[1] - 0.75 * self.heart[1] - 0.02;
        let [width, height] = self.heart;
        let oval = |cx: f32, cy: f32, rx: f32, ry: f32| {
            let distance = 1.0 - ((x - cx) / rx).hypot((y - cy) / ry);
            edge(distance, 0.09)
        };
        // The heart leans: its lower end points to the left.
        let lean = 0.35 * (y - middle);
        let ventricle = oval(0.30 * width + lean, middle, width, height);
        let atrium = oval(-0.03, middle - 0.02, 0.07 + 0.35 * (width - 0.12), 0.9 * height);
        let arch = oval(0.05, self.apex + 0.20, 0.045, 0.045);
        let trunk = oval(0.03, self.apex + 0.30, 0.062, 0.14);
        ventricle.max(atrium).max(0.9 * arch).max(trunk)
    }

    /// Gray added by ribs and collar bones.
    pub(super) fn bones_at(&self, place: &Place) -> f32 {
        let Place { r, y, .. } = *place;
        if place.from_ribs < -0.02 || y > 0.92 {
            return 0.0;
        }
        let wobble = 0.004 * self.bones.at(r * 9.0, y * 9.0);
        let rib = |curve: f32, width: f32| {
            let phase = ((y - curve + wobble) / self.rib_spacing + self.rib_phase).rem_euclid(1.0) - 0.5;
            bump(phase, width)
        };
        let within = edge(y - self.apex + 0.01, 0.02) * edge(place.from_ribs + 0.01, 0.01);
        // Behind, ribs leave the spine upwards and turn down; in front they run down to the middle, fainter.
        let behind = rib(0.9 * (r - 0.10).powi(2) - 0.05 * r, 0.14) * edge(r - 0.03, 0.02);
        let front = rib(-0.55 * (r - 0.05) + 0.35 * r, 0.17) * edge(r - 0.16, 0.05) * 0.55;
        let collar = bump(y - (self.apex + 0.055 - 0.22 * r + 0.25 * r * r), 0.010) * edge(r - 0.03, 0.01);
        let seen = 1.0 - 0.75 * edge(y - place.diaphragm, 0.02);
        self.rib_strength * within * seen * (behind + front) + 0.07 * collar
    }

    /// Gray added by the spine and its vertebrae, and taken by the windpipe.
    pub(super) fn midline_at(&self, x: f32, y: f32) -> f32 {
        let vertebrae = 0.7 + 0.3 * (y * 75.0).sin();
        let windpipe = bump(x - 0.004, 0.013) * edge(self.apex + 0.24 - y, 0.03);
        self.spine * bump(x, 0.035) * vertebrae - 0.12 * windpipe
    }

    /// Strength of the vessels: most at the hila, little at the ribs.
    pub(super) fn vessels_at(&self, place: &Place) -> f32 {
        let (dx, dy) = (place.r - 0.10, place.y - self.apex - 0.30);
        let distance = dx.hypot(dy * 0.8);
        // Branches run outward and wind a little: noise in polar form, stretched along the radius.
        let winding = 0.22 * self.bones.at(place.x * 12.0, place.y * 12.0);
        let angle = (dy.atan2(dx) + winding) * 4.5 * place.side.sign();
        let branches = self.vessels.lines(angle, distance * 9.0, 2.6);
        let fine = self.vessels.lines(place.x * 26.0, place.y * 22.0, 2.2);
        let hilum = bump(distance, 0.05) * 0.9;
        let fading = 1.0 / (1.0 + (distance * 5.0).powi(2));
        self.markings * ((branches + 0.35 * fine) * fading + hilum)
    }
}

/// What a place in the chest is, and how far it lies from the borders.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) x: f32,
    pub(super) y: f32,
    /// Distance from the midline.
    pub(super) r: f32,
    pub(super) side: Side,
    /// 0 at the lungs' top, 1 at their base.
    pub(super) depth: f32,
    /// To the ribs, positive inside.
    pub(super) from_ribs: f32,
    /// Height of the diaphragm here.
    pub(super) diaphragm: f32,
    /// How much of it is lung, in front of the heart too.
    pub(super) lung: f32,
    /// How much of it is lung and nothing else.
    pub(super) air: f32,
    /// How much of it is heart.
    pub(super) heart: f32,
}
