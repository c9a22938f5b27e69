//! Every kernel in every form against its formula in double precision. One program, so that each part of the reference is
//! used somewhere in it.

mod accuracy;
mod block;
mod convolution;
mod dense;
mod depthwise;
mod guards;
mod networks;
mod normalisation;
mod pooling;
mod reference;
mod threads;
