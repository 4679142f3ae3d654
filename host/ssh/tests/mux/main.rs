//! The connection protocol by itself: one mux and an output that records messages. Rows of the threat list by their
//! number.

mod channels;
mod delegation;
mod flow;
mod property;
mod refusals;
mod replies;
mod side;
