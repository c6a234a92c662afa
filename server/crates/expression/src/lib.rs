//! Expressions of columns (docs/decisions/0003-kinds-of-expressions.md).
//! `lexer`, `parser`, `call`, `json_literal`, `javascript` and `column` parse expressions; `evaluate` checks and computes them.

mod call;
mod column;
mod evaluate;
mod expression;
mod javascript;
mod json_literal;
mod lexer;
mod parse_error;
mod parser;
mod remark;
mod request;
mod sandbox_count;

pub use column::split_column;
pub use evaluate::{Cells, Evaluator, Formula, Pins, RowValues, TransformContext, formula_projection, is_marked_null};
pub use expression::{Expression, Kind};
pub use remark::ExpressionRemark;
pub use request::{ExpressionRequest, ResolvedRequest};
pub use sandbox_count::{MAX_SANDBOXES, SandboxCount};

#[cfg(test)]
mod tests;
