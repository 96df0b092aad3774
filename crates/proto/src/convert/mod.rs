//! The one conversion between what is sent and what the model knows.
//!
//! Nothing is decided here: a request becomes the model's draft as it was written, and `parse` of the model says
//! what is wrong with it. Only what the model cannot spell, such as an unknown number of an enum, is refused here.

mod append;
mod event;
mod find;
#[cfg(test)]
mod fuzz;
mod read;
mod timestamp;

pub use timestamp::{timestamp_from_wire, timestamp_to_wire};
