//! The policy against a naive oracle: named cases, all short sequences, random long ones.

mod books;
mod cases;
mod commands;
mod exhaustive;
mod groups;
mod hanging;
mod random;
mod replace;
mod settings;
mod significant;
mod stopping;
mod world;
