//! The connection protocol by itself: one mux and an output that only collects. Rows of the threat table by their
//! number.

mod channels;
mod flow;
mod property;
mod refusals;
mod replies;
mod side;
