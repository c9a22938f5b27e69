//! Chest X-ray networks on burn.
