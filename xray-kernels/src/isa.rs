//! Which instructions the kernels use: asked of the processor once, at run time.

use crate::integer::{ByteKernel, Integers, PortableIntegers};
use crate::lanes::{Kernel, Lanes, Portable};
use std::fmt;
use std::marker::PhantomData;
use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
use crate::integer::{Avx2Integers, Avx512Integers, VnniIntegers};
#[cfg(target_arch = "x86_64")]
use crate::lanes::{Avx2, Avx512};

/// The environment variable that names an instruction set.
pub const ISA_VARIABLE: &str = "XRAY_ISA";

/// An instruction set that this processor has.
///
/// Values are only made after the processor was asked, so holding one is the proof that its kernels may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// With its products of bytes (VNNI), which AVX-512 does not imply.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
}

/// Why no instruction set was chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IsaError {
    /// A name that means nothing.
    #[error("unknown instruction set {name:?}: portable, avx2 and avx512 are known")]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// A known one that this processor lacks.
    #[error("this processor has no {name}")]
    Missing {
        /// What was asked for.
        name: String,
    },
}

impl Isa {
    /// Plain Rust, on every processor.
    pub const PORTABLE: Self = Self(Set::Portable);

    /// The widest that this processor has.
    pub fn widest() -> Self {
        Self::available().last().copied().unwrap_or(Self::PORTABLE)
    }

    /// All that this processor has, the widest last.
    pub fn available() -> Vec<Self> {
        [Some(Self::PORTABLE), Self::avx2(), Self::avx512()].into_iter().flatten().collect()
    }

    /// The one called `portable`, `avx2` or `avx512`, if this processor has it.
    pub fn named(name: &str) -> Result<Self, IsaError> {
        let found = match name {
            "portable" => Some(Self::PORTABLE),
            "avx2" => Self::avx2(),
            "avx512" => Self::avx512(),
            _ => return Err(IsaError::Unknown { name: name.to_owned() }),
        };
        found.ok_or_else(|| IsaError::Missing { name: name.to_owned() })
    }

    /// What `XRAY_ISA` names, or else the widest; read once per process.
    pub fn detected() -> Result<Self, IsaError> {
        static CHOICE: OnceLock<Result<Isa, IsaError>> = OnceLock::new();
        CHOICE
            .get_or_init(|| match std::env::var(ISA_VARIABLE) {
                Ok(name) if !name.is_empty() => Self::named(&name),
                _ => Ok(Self::widest()),
            })
            .clone()
    }

    /// What this build has, and what of it this processor takes: `portable, avx2, avx512; avx2 on this processor`.
    pub fn summary() -> String {
        let names = if cfg!(target_arch = "x86_64") { "portable, avx2, avx512" } else { "portable" };
        format!("{names}; {} on this processor", Self::widest())
    }

    /// `portable`, `avx2` or `avx512`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Set::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 | Set::Avx512Vnni => "avx512",
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn avx2() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(Set::Avx2))
    }

    #[cfg(target_arch = "x86_64")]
    fn avx512() -> Option<Self> {
        let all = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        let set = if is_x86_feature_detected!("avx512vnni") { Set::Avx512Vnni } else { Set::Avx512 };
        (all && Self::avx2().is_some()).then_some(Self(set))
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn avx2() -> Option<Self> {
        None
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn avx512() -> Option<Self> {
        None
    }

    /// The form of a kernel for these instructions.
    pub(crate) fn form<K: Kernel>(self) -> Form<K::Arguments> {
        match self.0 {
            Set::Portable => Portable::form::<K>(),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => Avx2::form::<K>(),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 | Set::Avx512Vnni => Avx512::form::<K>(),
        }
    }

    /// What a visitor makes of the lanes of these instructions.
    pub(crate) fn visit<V: LanesVisitor>(self, visitor: V) -> V::Output {
        match self.0 {
            Set::Portable => visitor.visit::<Portable>(),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => visitor.visit::<Avx2>(),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 | Set::Avx512Vnni => visitor.visit::<Avx512>(),
        }
    }

    /// What a visitor makes of the integers of these instructions.
    pub(crate) fn visit_integers<V: IntegersVisitor>(self, visitor: V) -> V::Output {
        match self.0 {
            Set::Portable => visitor.visit::<PortableIntegers>(),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => visitor.visit::<Avx2Integers>(),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => visitor.visit::<Avx512Integers>(),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512Vnni => visitor.visit::<VnniIntegers>(),
        }
    }

    /// The form of a kernel on bytes for these instructions.
    pub(crate) fn byte_form<K: ByteKernel>(self) -> Form<K::Arguments> {
        struct Choice<K>(PhantomData<K>);
        impl<K: ByteKernel> IntegersVisitor for Choice<K> {
            type Output = Form<K::Arguments>;
            fn visit<I: Integers>(self) -> Self::Output {
                I::form::<K>()
            }
        }
        self.visit_integers(Choice::<K>(PhantomData))
    }

    /// Whether bytes can be looked up in a table of 256 by two permutations (VBMI, which VNNI does not imply).
    pub(crate) fn has_byte_tables(self) -> bool {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512Vnni => is_x86_feature_detected!("avx512vbmi"),
            _ => false,
        }
    }

    /// The same without VNNI, as an older processor has it.
    #[cfg(test)]
    pub(crate) fn without_vnni(self) -> Self {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512Vnni => Self(Set::Avx512),
            _ => self,
        }
    }
}

/// A kernel compiled for one instruction set. Callable where that set exists and the arguments hold.
pub(crate) type Form<A> = unsafe fn(&A);

/// A choice that depends on the instruction set, such as a tile's size.
pub(crate) trait LanesVisitor {
    /// What is chosen.
    type Output;
    /// Chooses.
    fn visit<L: Lanes>(self) -> Self::Output;
}

/// A choice that depends on the integers of an instruction set.
pub(crate) trait IntegersVisitor {
    /// What is chosen.
    type Output;
    /// Chooses.
    fn visit<I: Integers>(self) -> Self::Output;
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_what_the_processor_has() {
        for isa in Isa::available() {
            assert_eq!(Isa::named(isa.name()), Ok(isa));
        }
        assert_eq!(Isa::named("sse9"), Err(IsaError::Unknown { name: "sse9".into() }));
    }

    #[test]
    fn the_summary_names_all_that_this_processor_has() {
        let summary = Isa::summary();
        let (names, widest) = summary.split_once("; ").expect("two parts");
        assert!(
            Isa::available().iter().all(|isa| names.split(", ").any(|name| name == isa.name())),
            "{summary}"
        );
        assert_eq!(widest, format!("{} on this processor", Isa::widest()));
    }

    #[test]
    fn a_missing_one_is_an_error() {
        for name in ["portable", "avx2", "avx512"] {
            let there = Isa::available().iter().any(|isa| isa.name() == name);
            assert_eq!(Isa::named(name).is_ok(), there);
        }
    }
}
