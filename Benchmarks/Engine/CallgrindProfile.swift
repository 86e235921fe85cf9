/// What callgrind counted within the two functions of `ProfiledRun`, read from its output.
///
/// Names must hold their callers (`--separate-callers`): `function'caller'caller…`. So each count belongs to the one of
/// the two functions that it happened within, whoever shares the code; what has neither name in it counts as applying.
///
/// - Source: "Callgrind Format Specification", Valgrind manual.
public struct CallgrindProfile: Hashable, Sendable {
  /// What happened within one of the functions.
  public struct Part: Hashable, Sendable {
    public internal(set) var instructions: UInt64 = 0
    /// Calls of functions that give out memory, by functions that do not.
    public internal(set) var allocations: UInt64 = 0
  }

  public internal(set) var applying = Part()
  public internal(set) var takingLevels = Part()
  /// The functions (as the linker names them) that called for memory while applying, and how often, most first.
  public internal(set) var allocators: [Allocator] = []

  public struct Allocator: Hashable, Sendable {
    public var function: String
    public var calls: UInt64
  }

  /// Callers that are kept with each name: more than calls are ever nested.
  static let callersKept = 40

  /// Whatever gives out memory: the C library, the Swift runtime, the system.
  static let allocationFunctions: Set<String> = [
    "malloc", "calloc", "realloc", "reallocarray", "aligned_alloc", "posix_memalign", "memalign", "valloc",
    "swift_slowAlloc", "swift_slowAllocTyped", "swift_allocObject", "_swift_allocObject_",
    "operator new(unsigned long)", "mmap", "mmap64", "mremap", "sbrk", "brk",
  ]

  /// A name without the version that may follow it: `malloc@@GLIBC_2.2.5`.
  private static func unversioned(_ name: Substring) -> Substring { name.prefix { $0 != "@" } }

  /// - Throws: `CallgrindError`, if the text is not callgrind's, or nothing was counted.
  public init(_ text: String) throws(CallgrindError) {
    var reader = Reader()
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) { try reader.read(line) }
    guard let summary = reader.summary else { throw .noSummary }
    applying = reader.applying
    takingLevels = reader.takingLevels
    let counted = applying.instructions + takingLevels.instructions
    guard counted == summary else { throw .otherSum(counted: counted, summary: summary) }
    guard applying.instructions > 0 else { throw .nothingCounted }
    allocators = reader.callers.map { Allocator(function: $0.key, calls: $0.value) }
      .sorted { ($1.calls, $0.function) < ($0.calls, $1.function) }
  }

  /// A function as the file names it.
  private struct Function {
    var name: String
    var isAllocation: Bool
    var isTakingLevels: Bool
  }

  private struct Reader {
    var applying = Part()
    var takingLevels = Part()
    var callers: [String: UInt64] = [:]
    var summary: UInt64?

    private var functions: [Substring: Function] = [:]
    private var current: Function?
    private var called: Function?
    private var lineNumber = 0
    /// The next line's cost is that of a call, which the callee's own lines hold already.
    private var isCallCost = false
    private var hasEvents = false

    mutating func read(_ line: Substring) throws(CallgrindError) {
      lineNumber += 1
      if let name = line.value(of: "fn=") {
        current = try function(name)
      } else if let name = line.value(of: "cfn=") {
        called = try function(name)
      } else if let rest = line.value(of: "calls=") {
        guard let count = rest.split(separator: " ").first.flatMap({ UInt64($0) }) else { throw damaged }
        try countCalls(count)
        isCallCost = true
      } else if let first = line.first, first.isNumber || first == "+" || first == "-" || first == "*" {
        try countCost(line)
      } else if let events = line.value(of: "events: ") {
        guard events == "Ir" else { throw .otherEvents(String(events)) }
        hasEvents = true
      } else if let value = line.value(of: "summary: ") {
        guard let value = UInt64(value) else { throw damaged }
        summary = value
      }
    }

    private mutating func countCalls(_ count: UInt64) throws(CallgrindError) {
      guard let caller = current, let callee = called else { throw damaged }
      guard callee.isAllocation, !caller.isAllocation else { return }
      if callee.isTakingLevels {
        takingLevels.allocations += count
      } else {
        applying.allocations += count
        callers[caller.name, default: 0] += count
      }
    }

    private mutating func countCost(_ line: Substring) throws(CallgrindError) {
      if isCallCost {
        isCallCost = false
        return
      }
      let fields = line.split(separator: " ")
      guard hasEvents, let function = current, fields.count <= 2 else { throw damaged }
      // A cost of 0 may be left out.
      guard fields.count == 2 else { return }
      guard let cost = UInt64(fields[1]) else { throw damaged }
      if function.isTakingLevels {
        takingLevels.instructions += cost
      } else {
        applying.instructions += cost
      }
    }

    /// `(number) name` the first time, `(number)` from then on; or the name alone.
    private mutating func function(_ text: Substring) throws(CallgrindError) -> Function {
      guard text.first == "(", let end = text.firstIndex(of: ")"),
        text[text.index(after: text.startIndex)..<end].allSatisfy(\.isNumber)
      else { return Self.function(named: text) }
      let number = text[...end]
      let name = text[text.index(after: end)...].drop { $0 == " " }
      if name.isEmpty {
        guard let known = functions[number] else { throw damaged }
        return known
      }
      let function = Self.function(named: name)
      functions[number] = function
      return function
    }

    private static func function(named text: Substring) -> Function {
      let names = text.split(separator: "'")
      let own = names.first.map(unversioned) ?? ""
      return Function(
        name: String(own), isAllocation: allocationFunctions.contains(String(own)),
        isTakingLevels: names.contains { $0 == ProfiledRun.levelsFunction })
    }

    private var damaged: CallgrindError { .damaged(line: lineNumber) }
  }
}

/// Why callgrind's output says nothing.
public enum CallgrindError: Error, Hashable, CustomStringConvertible {
  case damaged(line: Int)
  case otherEvents(String)
  case noSummary
  case otherSum(counted: UInt64, summary: UInt64)
  case nothingCounted

  public var description: String {
    switch self {
    case .damaged(let line): "line \(line) of callgrind's output makes no sense"
    case .otherEvents(let events): "callgrind counted '\(events)', not instructions alone"
    case .noSummary: "callgrind's output has no summary: it did not end properly"
    case .otherSum(let counted, let summary):
      "callgrind's lines add up to \(counted) instructions, its summary says \(summary)"
    case .nothingCounted: "callgrind counted nothing: it did not find the function to count within"
    }
  }
}

extension Substring {
  /// What follows `key` at the beginning of the line; nil if it begins otherwise.
  fileprivate func value(of key: String) -> Substring? { hasPrefix(key) ? dropFirst(key.count) : nil }
}
