//! A small runtime for the ONNX files that we write: reads the bytes by the published layout, and runs the graph node by node. It
//! knows nothing of the exporter.

use std::collections::HashMap;

/// Fields of a message: number and content.
struct Fields<'a>(Vec<(u64, Field<'a>)>);

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn varint(bytes: &[u8], at: &mut usize) -> u64 {
    let (mut n, mut shift) = (0, 0);
    loop {
        let byte = bytes[*at];
        *at += 1;
        n |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return n;
        }
        shift += 7;
    }
}

impl<'a> Fields<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        let (mut at, mut fields) = (0, Vec::new());
        while at < bytes.len() {
            let head = varint(bytes, &mut at);
            let field = match head & 7 {
                0 => Field::Number(varint(bytes, &mut at)),
                2 => {
                    let len = varint(bytes, &mut at) as usize;
                    at += len;
                    Field::Bytes(&bytes[at - len..at])
                }
                wire => panic!("wire type {wire} is not used by ONNX files of ours"),
            };
            fields.push((head >> 3, field));
        }
        Self(fields)
    }

    fn all(&self, number: u64) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter_map(move |(n, field)| match field {
            Field::Bytes(bytes) if *n == number => Some(*bytes),
            _ => None,
        })
    }

    fn bytes(&self, number: u64) -> &'a [u8] {
        self.all(number).next().unwrap_or_default()
    }

    fn text(&self, number: u64) -> String {
        String::from_utf8(self.bytes(number).to_vec()).unwrap()
    }

    fn number(&self, number: u64) -> i64 {
        let found = self.0.iter().find_map(|(n, field)| match field {
            Field::Number(x) if *n == number => Some(*x as i64),
            _ => None,
        });
        found.unwrap_or(0)
    }

    fn numbers(&self, number: u64) -> Vec<i64> {
        let (bytes, mut at, mut out) = (self.bytes(number), 0, Vec::new());
        while at < bytes.len() {
            out.push(varint(bytes, &mut at) as i64);
        }
        out
    }
}

/// What a tensor holds, by the numbers of `TensorProto.DataType`.
const FLOAT: i64 = 1;
const BYTE: i64 = 2;
const INT: i64 = 7;
const BOOL: i64 = 9;
const DOUBLE: i64 = 11;

/// Numbers of any kind; truth values are 0 and 1.
#[derive(Clone, Debug)]
pub(super) struct Tensor {
    kind: i64,
    dims: Vec<usize>,
    pub(super) data: Vec<f64>,
}

impl Tensor {
    fn read(bytes: &[u8]) -> (String, Self) {
        let fields = Fields::of(bytes);
        let kind = fields.number(2);
        let raw = fields.bytes(9);
        let data = match kind {
            BYTE => raw.iter().map(|&byte| f64::from(byte)).collect(),
            INT => raw.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect(),
            DOUBLE => raw.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect::<Vec<f64>>(),
            other => panic!("constants of kind {other}"),
        };
        let dims: Vec<usize> = fields.numbers(1).into_iter().map(|n| n as usize).collect();
        assert_eq!(dims.iter().product::<usize>(), data.len());
        (fields.text(8), Self { kind, dims, data })
    }

    /// Rows and columns; a row alone is one of many that are the same.
    fn shape(&self) -> (usize, usize) {
        match self.dims[..] {
            [] => (1, 1),
            [n] => (1, n),
            [rows, columns] => (rows, columns),
            _ => panic!("{:?}", self.dims),
        }
    }

    fn at(&self, row: usize, column: usize) -> f64 {
        let (rows, columns) = self.shape();
        self.data[if rows == 1 { 0 } else { row } * columns + if columns == 1 { 0 } else { column }]
    }
}

struct Node {
    operator: String,
    inputs: Vec<String>,
    output: String,
    ints: HashMap<String, Vec<i64>>,
    tensors: HashMap<String, Tensor>,
}

/// A file, read.
pub(super) struct Onnx {
    nodes: Vec<Node>,
    constants: HashMap<String, Tensor>,
    /// Kind and width of the input.
    input: (i64, usize),
    pub(super) outputs: Vec<String>,
    pub(super) facts: HashMap<String, String>,
}

impl Onnx {
    pub(super) fn read(bytes: &[u8]) -> Self {
        let model = Fields::of(bytes);
        let opsets: Vec<(String, i64)> =
            model.all(8).map(Fields::of).map(|opset| (opset.text(1), opset.number(2))).collect();
        assert_eq!(opsets, [(String::new(), 18), ("ai.onnx.ml".to_owned(), 5)]);
        let graph = Fields::of(model.bytes(7));
        let node = |bytes: &[u8]| {
            let node = Fields::of(bytes);
            let texts = |n| node.all(n).map(|text| String::from_utf8(text.to_vec()).unwrap()).collect::<Vec<_>>();
            let (mut ints, mut tensors) = (HashMap::new(), HashMap::new());
            for attribute in node.all(5).map(Fields::of) {
                match attribute.number(20) {
                    2 => drop(ints.insert(attribute.text(1), vec![attribute.number(3)])),
                    7 => drop(ints.insert(attribute.text(1), attribute.numbers(8))),
                    4 => drop(tensors.insert(attribute.text(1), Tensor::read(attribute.bytes(5)).1)),
                    other => panic!("attribute of kind {other}"),
                }
            }
            assert_eq!(node.text(4) == "TreeEnsemble", node.text(7) == "ai.onnx.ml");
            Node { operator: node.text(4), inputs: texts(1), output: texts(2).swap_remove(0), ints, tensors }
        };
        let value = |bytes: &[u8]| {
            let value = Fields::of(bytes);
            let tensor_type = Fields::of(value.bytes(2)).bytes(1).to_vec();
            let tensor = Fields::of(&tensor_type);
            let shape = tensor.bytes(2).to_vec();
            let dims: Vec<i64> = Fields::of(&shape).all(1).map(|dim| Fields::of(dim).number(1)).collect();
            (value.text(1), tensor.number(1), dims)
        };
        let inputs: Vec<_> = graph.all(11).map(value).collect();
        assert!(inputs.len() == 1 && inputs[0].0 == "row" && inputs[0].2[0] == 0);
        Self {
            nodes: graph.all(1).map(node).collect(),
            constants: graph.all(5).map(Tensor::read).collect(),
            input: (inputs[0].1, inputs[0].2[1] as usize),
            outputs: graph.all(12).map(|bytes| value(bytes).0).collect(),
            facts: model.all(14).map(Fields::of).map(|pair| (pair.text(1), pair.text(2))).collect(),
        }
    }

    /// The outputs for rows that stand one after the other.
    pub(super) fn run(&self, rows: &[f64]) -> HashMap<String, Vec<f64>> {
        let (kind, width) = self.input;
        let dims = vec![rows.len() / width, width];
        assert!(kind == DOUBLE || kind == FLOAT && rows.iter().all(|x| x.is_nan() || f64::from(*x as f32) == *x));
        let mut values = self.constants.clone();
        values.insert("row".into(), Tensor { kind, dims, data: rows.to_vec() });
        for node in &self.nodes {
            let inputs: Vec<&Tensor> = node.inputs.iter().map(|name| &values[name]).collect();
            let out = run(node, &inputs);
            assert!(values.insert(node.output.clone(), out).is_none(), "{} is made twice", node.output);
        }
        self.outputs.iter().map(|name| (name.clone(), values[name].data.clone())).collect()
    }
}

fn run(node: &Node, inputs: &[&Tensor]) -> Tensor {
    let int = |name: &str| node.ints[name][0];
    let each = |kind: i64, of: &dyn Fn(&[f64]) -> f64| {
        let rows = inputs.iter().map(|t| t.shape().0).max().unwrap();
        let columns = inputs.iter().map(|t| t.shape().1).max().unwrap();
        for input in inputs {
            let (r, c) = input.shape();
            assert!((r == 1 || r == rows) && (c == 1 || c == columns), "{}: {:?}", node.operator, input.dims);
        }
        let cell = |i: usize| of(&inputs.iter().map(|t| t.at(i / columns, i % columns)).collect::<Vec<_>>());
        Tensor { kind, dims: vec![rows, columns], data: (0..rows * columns).map(cell).collect() }
    };
    let kinds: Vec<i64> = inputs.iter().map(|input| input.kind).collect();
    let same = || {
        assert!(kinds.iter().all(|&kind| kind == DOUBLE), "{}: {kinds:?}", node.operator);
        DOUBLE
    };
    let compare = |of: &dyn Fn(&[f64]) -> bool| {
        same();
        each(BOOL, &|x| f64::from(u8::from(of(x))))
    };
    let logic = |of: &dyn Fn(&[f64]) -> bool| {
        assert!(kinds.iter().all(|&kind| kind == BOOL), "{}: {kinds:?}", node.operator);
        each(BOOL, &|x| f64::from(u8::from(of(x))))
    };
    let or_nan = |x: &[f64], y: f64| if x.iter().any(|x| x.is_nan()) { f64::NAN } else { y };
    match node.operator.as_str() {
        "Add" => each(same(), &|x| x[0] + x[1]),
        "Sub" => each(same(), &|x| x[0] - x[1]),
        "Mul" => each(same(), &|x| x[0] * x[1]),
        "Div" => each(same(), &|x| x[0] / x[1]),
        "Max" => each(same(), &|x| or_nan(x, x[0].max(x[1]))),
        "Min" => each(same(), &|x| or_nan(x, x[0].min(x[1]))),
        "Neg" => each(same(), &|x| -x[0]),
        "Abs" => each(same(), &|x| x[0].abs()),
        "Exp" => each(same(), &|x| libm::exp(x[0])),
        "Log" => each(same(), &|x| libm::log(x[0])),
        "Floor" => each(same(), &|x| x[0].floor()),
        "Sign" => each(same(), &|x| {
            if x[0] > 0.0 {
                1.0
            } else if x[0] < 0.0 {
                -1.0
            } else {
                x[0]
            }
        }),
        "Equal" => compare(&|x| x[0] == x[1]),
        "Less" => compare(&|x| x[0] < x[1]),
        "LessOrEqual" => compare(&|x| x[0] <= x[1]),
        "Greater" => compare(&|x| x[0] > x[1]),
        "GreaterOrEqual" => compare(&|x| x[0] >= x[1]),
        "IsNaN" => compare(&|x| x[0].is_nan()),
        "And" => logic(&|x| x[0] == 1.0 && x[1] == 1.0),
        "Or" => logic(&|x| x[0] == 1.0 || x[1] == 1.0),
        "Where" => {
            assert_eq!(kinds, [BOOL, DOUBLE, DOUBLE]);
            each(DOUBLE, &|x| if x[0] == 1.0 { x[1] } else { x[2] })
        }
        "Identity" => inputs[0].clone(),
        "Cast" => {
            let convert = |x: f64| match int("to") {
                FLOAT => f64::from(x as f32),
                INT => {
                    assert!(x.is_finite() && x.fract() == 0.0, "casts to whole numbers are of whole numbers");
                    x
                }
                DOUBLE => x,
                other => panic!("cast to {other}"),
            };
            let data = inputs[0].data.iter().map(|&x| convert(x)).collect();
            Tensor { kind: int("to"), dims: inputs[0].dims.clone(), data }
        }
        "Reshape" => {
            assert_eq!(inputs[1].data, [-1.0]);
            Tensor { dims: vec![inputs[0].data.len()], ..inputs[0].clone() }
        }
        "Gather" => gather(inputs[0], inputs[1], node.ints.get("axis").map_or(0, |axis| axis[0])),
        "Concat" => {
            assert_eq!(int("axis"), 1);
            let (rows, kind) = (inputs[0].shape().0, inputs[0].kind);
            assert!(inputs.iter().all(|input| input.dims.len() == 2 && input.dims[0] == rows && input.kind == kind));
            let row = |i: usize| inputs.iter().flat_map(move |t| (0..t.dims[1]).map(move |j| t.at(i, j)));
            let columns = inputs.iter().map(|input| input.dims[1]).sum();
            Tensor { kind, dims: vec![rows, columns], data: (0..rows).flat_map(row).collect() }
        }
        "ReduceSum" => {
            assert_eq!((inputs[1].data.as_slice(), int("keepdims")), (&[1.0][..], 1));
            let (rows, columns) = inputs[0].shape();
            let sum = |i: usize| (0..columns).map(|j| inputs[0].at(i, j)).sum();
            Tensor { kind: inputs[0].kind, dims: vec![rows, 1], data: (0..rows).map(sum).collect() }
        }
        "TreeEnsemble" => trees(node, inputs[0]),
        other => panic!("operator {other}"),
    }
}

fn gather(table: &Tensor, at: &Tensor, axis: i64) -> Tensor {
    assert_eq!(at.kind, INT);
    let take = |n: usize| {
        at.data.iter().map(move |&x| if (0.0..n as f64).contains(&x) { x as usize } else { panic!("{x} of {n}") })
    };
    match (axis, table.dims.as_slice()) {
        // Of a row one value for each number, in the numbers' shape.
        (0, &[n]) => Tensor { dims: at.dims.clone(), data: take(n).map(|i| table.data[i]).collect(), ..table.clone() },
        (0, &[n, width]) => {
            assert_eq!(at.dims.len(), 1);
            let data = take(n).flat_map(|i| table.data[i * width..][..width].to_vec()).collect();
            Tensor { dims: vec![at.data.len(), width], data, ..table.clone() }
        }
        (1, &[rows, width]) => {
            assert_eq!(at.dims.len(), 1);
            let columns: Vec<usize> = take(width).collect();
            let row = |i: usize| columns.iter().map(move |&j| table.data[i * width + j]);
            let data = (0..rows).flat_map(row).collect();
            Tensor { dims: vec![rows, columns.len()], data, ..table.clone() }
        }
        other => panic!("{other:?}"),
    }
}

/// `TreeEnsemble` of `ai.onnx.ml` 5: sums of leaves for one target.
fn trees(node: &Node, matrix: &Tensor) -> Tensor {
    let ints = |name: &str| node.ints[name].as_slice();
    assert_eq!((ints("aggregate_function"), ints("n_targets"), ints("post_transform")), (&[1][..], &[1][..], &[0][..]));
    assert!(matrix.kind == DOUBLE && ints("leaf_targetids").iter().all(|&target| target == 0));
    let (modes, splits) = (&node.tensors["nodes_modes"], &node.tensors["nodes_splits"]);
    let weights = &node.tensors["leaf_weights"];
    let n = modes.data.len();
    for name in ["nodes_featureids", "nodes_truenodeids", "nodes_falsenodeids", "nodes_missing_value_tracks_true"] {
        assert_eq!(ints(name).len(), n, "{name}");
    }
    assert_eq!((splits.data.len(), weights.data.len()), (n, ints("leaf_targetids").len()));
    let leaf = |row: usize, root: i64| {
        let mut at = root as usize;
        loop {
            let x = matrix.at(row, ints("nodes_featureids")[at] as usize);
            let missing = x.is_nan() && ints("nodes_missing_value_tracks_true")[at] == 1;
            let holds = match modes.data[at] as u8 {
                0 => x <= splits.data[at],
                4 => x == splits.data[at],
                other => panic!("mode {other}"),
            };
            let side = if holds || missing {
                ["nodes_truenodeids", "nodes_trueleafs"]
            } else {
                ["nodes_falsenodeids", "nodes_falseleafs"]
            };
            let [next, is_leaf] = side.map(|name| ints(name)[at]);
            if is_leaf == 1 {
                return weights.data[next as usize];
            }
            assert!(next as usize > at, "children stand behind their parents");
            at = next as usize;
        }
    };
    let (rows, _) = matrix.shape();
    let sum = |row: usize| ints("tree_roots").iter().map(|&root| leaf(row, root)).sum();
    Tensor { kind: DOUBLE, dims: vec![rows, 1], data: (0..rows).map(sum).collect() }
}
