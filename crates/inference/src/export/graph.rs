//! A graph in the making: nodes in the order in which they run, and constants, each with a name of its own.

use std::collections::HashMap;

use super::protobuf::Message;

/// The standard operators that the graphs use; they are the same from this version on.
pub(super) const OPSET: i64 = 18;
/// The operators for trees: `TreeEnsemble` came with this version.
pub(super) const ML_OPSET: i64 = 5;
/// Version of the file format itself: that of ONNX 1.16, which brought [`ML_OPSET`].
const IR_VERSION: i64 = 10;
const ML_DOMAIN: &str = "ai.onnx.ml";

/// Name of a value that a node makes, of an input or a constant.
pub(super) type Name = String;

/// What a tensor holds, by the numbers of `TensorProto.DataType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Float = 1,
    Byte = 2,
    Int = 7,
    Double = 11,
}

/// A graph without its inputs and outputs.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: Vec<Message>,
    constants: Vec<Message>,
    known: HashMap<(u8, Vec<i64>, Vec<u8>), Name>,
    n_values: usize,
}

/// An attribute of a node.
pub(super) enum Attribute {
    Int(&'static str, i64),
    Ints(&'static str, Vec<i64>),
    Tensor(&'static str, Message),
}

impl Attribute {
    fn message(&self) -> Message {
        // name 1, i 3, t 5, ints 8, type 20.
        match self {
            Self::Int(name, n) => Message::default().data(1, name.as_bytes()).int(3, *n).int(20, 2),
            Self::Tensor(name, tensor) => Message::default().data(1, name.as_bytes()).message(5, tensor).int(20, 4),
            Self::Ints(name, numbers) => {
                Message::default().data(1, name.as_bytes()).ints(8, numbers.iter().copied()).int(20, 7)
            }
        }
    }
}

/// A tensor with its content as little-endian bytes.
pub(super) fn tensor(name: &str, kind: Kind, dims: &[i64], bytes: &[u8]) -> Message {
    // dims 1, data_type 2, name 8, raw_data 9.
    let message = Message::default().ints(1, dims.iter().copied()).int(2, kind as i64);
    let message = if name.is_empty() { message } else { message.data(8, name.as_bytes()) };
    message.data(9, bytes)
}

/// Little-endian bytes of numbers.
pub(super) fn doubles(numbers: impl IntoIterator<Item = f64>) -> Vec<u8> {
    numbers.into_iter().flat_map(f64::to_le_bytes).collect()
}

impl Graph {
    fn name(&mut self, what: &str) -> Name {
        self.n_values += 1;
        format!("{what}_{}", self.n_values)
    }

    /// Appends a node of the standard operators with one output.
    pub(super) fn node(&mut self, operator: &str, inputs: &[&str]) -> Name {
        self.node_with(operator, inputs, &[])
    }

    /// As [`Self::node`], with attributes.
    pub(super) fn node_with(&mut self, operator: &str, inputs: &[&str], attributes: &[Attribute]) -> Name {
        let output = self.name(&operator.to_lowercase());
        self.push(operator, "", inputs, &output, attributes);
        output
    }

    /// Appends a node of the operators for trees.
    pub(super) fn ml_node(&mut self, operator: &str, inputs: &[&str], attributes: &[Attribute]) -> Name {
        let output = self.name(&operator.to_lowercase());
        self.push(operator, ML_DOMAIN, inputs, &output, attributes);
        output
    }

    /// Gives a value the name of an output.
    pub(super) fn output(&mut self, value: &str, name: &str) {
        self.push("Identity", "", &[value], name, &[]);
    }

    fn push(&mut self, operator: &str, domain: &str, inputs: &[&str], output: &str, attributes: &[Attribute]) {
        // input 1, output 2, op_type 4, attribute 5, domain 7.
        let mut node = Message::default();
        for input in inputs {
            node = node.data(1, input.as_bytes());
        }
        node = node.data(2, output.as_bytes()).data(4, operator.as_bytes());
        for attribute in attributes {
            node = node.message(5, &attribute.message());
        }
        self.nodes.push(if domain.is_empty() { node } else { node.data(7, domain.as_bytes()) });
    }

    fn constant(&mut self, kind: Kind, dims: &[i64], bytes: Vec<u8>) -> Name {
        let key = (kind as u8, dims.to_vec(), bytes);
        if let Some(name) = self.known.get(&key) {
            return name.clone();
        }
        let name = self.name("constant");
        self.constants.push(tensor(&name, kind, dims, &key.2));
        self.known.insert(key, name.clone());
        name
    }

    /// One number.
    pub(super) fn double(&mut self, x: f64) -> Name {
        self.constant(Kind::Double, &[1], doubles([x]))
    }

    /// Numbers in a row.
    pub(super) fn double_row(&mut self, numbers: &[f64]) -> Name {
        self.constant(Kind::Double, &[numbers.len() as i64], doubles(numbers.iter().copied()))
    }

    /// A table of rows, one after the other.
    pub(super) fn double_table(&mut self, n_rows: usize, numbers: &[f64]) -> Name {
        let dims = [n_rows as i64, (numbers.len() / n_rows.max(1)) as i64];
        self.constant(Kind::Double, &dims, doubles(numbers.iter().copied()))
    }

    /// Whole numbers in a row.
    pub(super) fn int_row(&mut self, numbers: &[i64]) -> Name {
        let bytes = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        self.constant(Kind::Int, &[numbers.len() as i64], bytes)
    }

    /// The columns of a matrix at these positions.
    pub(super) fn columns(&mut self, matrix: &str, at: &[u32]) -> Name {
        let at = self.int_row(&at.iter().map(|&at| i64::from(at)).collect::<Vec<_>>());
        self.node_with("Gather", &[matrix, &at], &[Attribute::Int("axis", 1)])
    }

    /// The rows of a table that whole numbers name: of n numbers in one column, n rows of the table's width.
    pub(super) fn look_up(&mut self, table: &str, codes: &str) -> Name {
        let flat = self.int_row(&[-1]);
        let codes = self.node("Reshape", &[codes, &flat]);
        self.node_with("Gather", &[table, &codes], &[Attribute::Int("axis", 0)])
    }

    /// Converts numbers.
    pub(super) fn cast(&mut self, value: &str, to: Kind) -> Name {
        self.node_with("Cast", &[value], &[Attribute::Int("to", to as i64)])
    }

    /// Matrices side by side.
    pub(super) fn side_by_side(&mut self, matrices: &[Name]) -> Name {
        match matrices {
            [one] => one.clone(),
            many => {
                let inputs: Vec<&str> = many.iter().map(String::as_str).collect();
                self.node_with("Concat", &inputs, &[Attribute::Int("axis", 1)])
            }
        }
    }

    /// Sums of the rows of a matrix, in one column.
    pub(super) fn row_sums(&mut self, matrix: &str) -> Name {
        let axes = self.int_row(&[1]);
        self.node_with("ReduceSum", &[matrix, &axes], &[Attribute::Int("keepdims", 1)])
    }

    /// How many of these ascending numbers a column has reached, in a column of whole numbers.
    pub(super) fn reached(&mut self, column: &str, numbers: &[f64]) -> Name {
        let numbers = self.double_row(numbers);
        let reached = self.node("GreaterOrEqual", &[column, &numbers]);
        let reached = self.cast(&reached, Kind::Int);
        self.row_sums(&reached)
    }

    /// The bytes of the file.
    pub(super) fn finish(
        self,
        input: (&str, Kind, usize),
        outputs: &[(&str, Kind)],
        description: &str,
        facts: &[(&str, String)],
    ) -> Message {
        // Graph: node 1, name 2, initializer 5, input 11, output 12.
        let mut graph = Message::default();
        for node in &self.nodes {
            graph = graph.message(1, node);
        }
        graph = graph.data(2, b"orderguard");
        for constant in &self.constants {
            graph = graph.message(5, constant);
        }
        graph = graph.message(11, &value_info(input.0, input.1, input.2));
        for (name, kind) in outputs {
            graph = graph.message(12, &value_info(name, *kind, 1));
        }
        // Model: ir_version 1, producer_name 2, producer_version 3, doc_string 6, graph 7, opset_import 8, metadata_props 14.
        let opset = |domain: &str, version| Message::default().data(1, domain.as_bytes()).int(2, version);
        let mut model = Message::default()
            .int(1, IR_VERSION)
            .data(2, b"orderguard")
            .data(3, env!("CARGO_PKG_VERSION").as_bytes())
            .data(6, description.as_bytes())
            .message(7, &graph)
            .message(8, &opset("", OPSET))
            .message(8, &opset(ML_DOMAIN, ML_OPSET));
        for (name, value) in facts {
            model = model.message(14, &Message::default().data(1, name.as_bytes()).data(2, value.as_bytes()));
        }
        model
    }
}

/// Name, kind and shape of an input or output: any number of rows of so many values.
fn value_info(name: &str, kind: Kind, width: usize) -> Message {
    // Shape: dim 1 (dim_value 1, dim_param 2). Tensor: elem_type 1, shape 2. Type: tensor_type 1. Value: name 1, type 2.
    let rows = Message::default().data(2, b"rows");
    let width = Message::default().int(1, width as i64);
    let shape = Message::default().message(1, &rows).message(1, &width);
    let tensor = Message::default().int(1, kind as i64).message(2, &shape);
    Message::default().data(1, name.as_bytes()).message(2, &Message::default().message(1, &tensor))
}
