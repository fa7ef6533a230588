//! The few forms of Protocol Buffers that ONNX files take: numbers, texts and messages, each behind its field number.
//!
//! # Reference
//! Protocol Buffers, Encoding (protobuf.dev/programming-guides/encoding); the fields are those of `onnx.proto`.

/// A message in the making.
#[derive(Clone, Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn bytes(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    fn varint(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.0.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
    }

    fn head(&mut self, field: u32, wire: u64) {
        self.varint(u64::from(field) << 3 | wire);
    }

    /// A whole number; a negative one takes ten bytes, as the format has it.
    pub(super) fn int(mut self, field: u32, n: i64) -> Self {
        self.head(field, 0);
        self.varint(n as u64);
        self
    }

    /// A text or bytes.
    pub(super) fn data(mut self, field: u32, bytes: &[u8]) -> Self {
        self.head(field, 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    /// A message within.
    pub(super) fn message(self, field: u32, message: &Self) -> Self {
        self.data(field, &message.0)
    }

    /// Many whole numbers in one piece.
    pub(super) fn ints(self, field: u32, numbers: impl IntoIterator<Item = i64>) -> Self {
        let mut packed = Self::default();
        for n in numbers {
            packed.varint(n as u64);
        }
        self.data(field, &packed.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_the_bytes_of_the_specification() {
        let bytes = |message: Message| message.bytes();
        assert_eq!(bytes(Message::default().int(1, 150)), [0x08, 0x96, 0x01]);
        assert_eq!(bytes(Message::default().data(2, b"testing")), b"\x12\x07testing");
        assert_eq!(bytes(Message::default().int(1, -1)), [8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
        assert_eq!(bytes(Message::default().ints(6, [3, 270, 86_942])), [0x32, 6, 3, 0x8E, 2, 0x9E, 0xA7, 5]);
        let inner = Message::default().int(1, 150);
        assert_eq!(bytes(Message::default().message(3, &inner)), [0x1A, 3, 8, 0x96, 1]);
        assert_eq!(bytes(Message::default().int(20, 0)), [0xA0, 1, 0]);
    }
}
