//! The policy against a naive oracle: named cases, all short sequences, random long ones.

mod cases;
mod commands;
mod exhaustive;
mod groups;
mod random;
mod stopping;
mod world;
