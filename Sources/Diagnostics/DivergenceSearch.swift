import EventLog
import OrderBook
import Primitives

/// Finds the first thing in which two replicas differ: the checkpoint, the entry or the fill, the level and the order.
///
/// It asks both the same questions and narrows ranges sixteenfold with each pair of answers; what it asks grows with
/// the logarithm of the history. Nothing that is not final on both sides is compared, so tentative tails never count.
///
/// ```
/// checkpoints   hashes of kept ones, until the first that differs is between two that both have
/// logs          of the origins that have entries there, or everywhere where nothing but bytes on a disk is at hand:
///               the batch at which the hash chains part; its bytes, hash and signature on both sides
/// fills         if the logs are alike: prefixes of the tables
/// book          if these are alike, too: at one point of both histories, instrument, queue, level, order
/// ```
public struct DivergenceSearch: Sendable {
  let left: any Witness
  let right: any Witness
  let options: Options
  let signatures: any Signatures
  var divergence: Divergence

  public struct Options: Sendable {
    /// Works hashes of logs and books out from what is stored instead of believing those that are kept beside it. What
    /// a running node would find by its scrubber is found now, at a cost that grows with the history.
    public var isDeep = false
    /// How much later than now a point for comparing the books of running nodes is at first.
    public var leadMilliseconds: UInt64 = 40
    public var attemptsMax = 6
    public init() {}
  }

  var isDeep: Bool { options.isDeep || left.isStored || right.isStored }

  /// - Parameter signatures: checks authors' signatures.
  /// - Throws: what a witness throws; `SearchError` if one answers what was not asked.
  public static func run(
    _ left: any Witness, _ right: any Witness, signatures: any Signatures, options: Options = Options()
  ) async throws -> Divergence {
    var cost = SearchCost()
    let (first, second) = try await ask(left, right, .overview, &cost)
    guard case .overview(let mine) = first, case .overview(let theirs) = second else {
      throw SearchError("no overview came from \(left.label) or \(right.label): \(reasons(first, second))")
    }
    var search = DivergenceSearch(
      left: left, right: right, options: options, signatures: signatures,
      divergence: Divergence(left: mine, right: theirs))
    search.divergence.cost = cost
    try await search.search()
    return search.divergence
  }

  private mutating func search() async throws {
    guard divergence.left.cluster == divergence.right.cluster else {
      divergence.verdict = .undetermined
      divergence.remarks.append("they belong to two clusters: \(left.label) and \(right.label) share no history")
      return
    }
    let range = try await searchCheckpoints()
    if try await searchLogs(range) { return }
    if try await searchFills(range) { return }
    if try await searchBooks(range) { return }
    if let differing = divergence.differing {
      // Nothing of what is there now shows what it was.
      divergence.verdict = .divergent
      divergence.cause = .sameLog
      divergence.checkpoint = differing.left?.number
      divergence.remarks.append(
        "only the checkpoints show it: \(differingParts(differing)) is another one, what is kept now is the same")
      return
    }
    let isBehind =
      divergence.left.finalVector != divergence.right.finalVector
      || divergence.left.checkpoint?.number != divergence.right.checkpoint?.number
    divergence.cause = isBehind ? .onlyLag : nil
  }

  /// What of two checkpoints is not the same.
  func differingParts(_ pair: Divergence.Pair<Checkpoint>) -> String {
    guard let left = pair.left, let right = pair.right else { return "a checkpoint" }
    var parts: [String] = []
    if left.logHash != right.logHash { parts.append("log hash") }
    if left.fillsHash != right.fillsHash || left.fills != right.fills { parts.append("fills hash") }
    if left.bookHash != right.bookHash { parts.append("book hash") }
    return parts.isEmpty ? "the history before" : parts.joined(separator: " and ")
  }

  // MARK: Checkpoints

  /// Stamps between which the first difference lies, as far as checkpoints tell.
  struct Range {
    /// Everything before is the same as it was derived; zero if nothing is known.
    var after: Stamp
    /// Fills before.
    var fillsAfter: UInt64
    var through: Stamp
  }

  /// Narrows (newest that agrees, first that differs) until nobody keeps one in between.
  private mutating func searchCheckpoints() async throws -> Range {
    let final = min(divergence.left.finalStamp, divergence.right.finalStamp)
    var range = Range(after: .zero, fillsAfter: 0, through: final)
    var low: UInt64 = 0
    // The highest that both may have; first that alone is asked for.
    let newest = min(divergence.left.checkpoint?.number ?? 0, divergence.right.checkpoint?.number ?? 0)
    guard newest > 0 else { return range }
    var high = newest
    var differing: UInt64?
    // Who is ahead keeps fewer of the old ones, and all of these the other one has.
    let isLeftAhead = divergence.left.checkpoint?.number ?? 0 >= divergence.right.checkpoint?.number ?? 0
    let (ahead, behind) = isLeftAhead ? (left, right) : (right, left)
    while low < high {
      let width = high - low
      let first = try await ask(ahead, .checkpoints(after: low, through: high))
      guard case .checkpoints(let names) = first else {
        divergence.remarks.append("checkpoints cannot be compared: \(Self.reasons(first))")
        break
      }
      if names.isEmpty { break }
      let second = try await ask(behind, .checkpointHashes(names.map(\.number)))
      guard case .checkpointHashes(let hashes) = second, hashes.count == names.count else {
        divergence.remarks.append("checkpoints cannot be compared: \(Self.reasons(second))")
        break
      }
      let place = names.indices.first { hashes[$0] != nil && hashes[$0] != names[$0].hash }
      if let equal = names.indices.last(where: { $0 < place ?? names.count && hashes[$0] == names[$0].hash }) {
        divergence.agreed = names[equal]
        low = names[equal].number
      }
      guard let place else { break }
      differing = names[place].number
      high = names[place].number
      // All that is kept in between has been looked at.
      if names.count < Question.partsMax || high - low >= width { break }
    }
    if let agreed = divergence.agreed {
      range.after = Checkpoint.lastStamp(agreed.number)
      if case .checkpoint(let checkpoint?) = try await ask(left, .checkpoint(agreed.number)) {
        range.fillsAfter = checkpoint.fills
      }
    }
    if let differing {
      let (mine, theirs) = try await ask(.checkpoint(differing))
      if case .checkpoint(let one) = mine, case .checkpoint(let other) = theirs {
        divergence.differing = Divergence.Pair(one, other)
      }
      range.through = min(final, Checkpoint.lastStamp(differing))
    }
    return range
  }

  // MARK: Asking

  mutating func ask(_ question: Question) async throws -> (Answer, Answer) {
    var cost = divergence.cost
    defer { divergence.cost = cost }
    return try await Self.ask(left, right, question, &cost)
  }

  mutating func ask(_ witness: any Witness, _ question: Question) async throws -> Answer {
    let answer = try await witness.ask(question)
    divergence.cost.exchanges += 1
    divergence.cost.bytes += question.bytes.count + answer.bytes.count
    return answer
  }

  private static func ask(
    _ left: any Witness, _ right: any Witness, _ question: Question, _ cost: inout SearchCost
  ) async throws -> (Answer, Answer) {
    async let first = left.ask(question)
    async let second = right.ask(question)
    let answers = (try await first, try await second)
    cost.exchanges += 2
    cost.bytes += 2 * question.bytes.count + answers.0.bytes.count + answers.1.bytes.count
    return answers
  }

  static func reasons(_ answers: Answer...) -> String {
    let texts = answers.compactMap { if case .unavailable(let text) = $0 { text } else { nil } }
    return texts.isEmpty ? "an answer of another kind came" : texts.joined(separator: "; ")
  }

  /// At most `Question.partsMax` numbers in (after, through], evenly spread, the last one `through`.
  static func spread(after: UInt64, through: UInt64, parts: Int = Question.partsMax) -> [UInt64] {
    let width = through - after
    guard width > UInt64(parts) else { return width == 0 ? [] : Array(after + 1...through) }
    return (1...UInt64(parts)).map { part in
      let (high, low) = width.multipliedFullWidth(by: part)
      return after + UInt64(parts).dividingFullWidth((high, low)).quotient
    }
  }
}
