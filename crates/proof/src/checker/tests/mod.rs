//! One history made by hand for each promise that can be broken, and some that only look broken.

mod answers;
mod events;
mod order;
mod reads;
mod repetitions;
mod story;
mod tables;
