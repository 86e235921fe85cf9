/// A queue over one array: append at the end, take from the front.
struct Fifo<Element> {
  private var storage: [Element?] = []
  private var head = 0

  init() {}

  var count: Int { storage.count - head }
  var isEmpty: Bool { head == storage.count }
  var first: Element? { isEmpty ? nil : storage[head] }

  /// The n-th element from the front.
  /// - Precondition: `0 <= position < count`.
  subscript(position: Int) -> Element {
    guard let element = storage[head + position] else { preconditionFailure("outside the queue") }
    return element
  }

  mutating func append(_ element: Element) { storage.append(element) }

  @discardableResult
  mutating func popFirst() -> Element? {
    guard !isEmpty else { return nil }
    let element = storage[head]
    storage[head] = nil
    head += 1
    if head == storage.count {
      storage.removeAll(keepingCapacity: storage.count <= 4_096)
      head = 0
    } else if head >= 1_024, head * 2 >= storage.count {
      storage.removeFirst(head)
      head = 0
    }
    return element
  }

  mutating func removeAll() {
    storage = []
    head = 0
  }
}
