import Foundation
import Membership
import Primitives
import Simulator
import Testing

/// Every file in Scenarios runs as its golden transcript says; its expectations hold, and no checker objects.
///
/// With `RIALTO_RECORD=1` in the environment the transcripts are written instead. Explain every changed line in the
/// commit.
@Suite struct ScenarioTests {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Scenarios")

  static let names: [String] = {
    let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return files.filter { $0.hasSuffix(".scenario") }.map { String($0.dropLast(".scenario".count)) }.sorted()
  }()

  static func text(_ name: String) throws -> String {
    try String(contentsOf: folder.appendingPathComponent("\(name).scenario"), encoding: .utf8)
  }

  static let isRecording = ProcessInfo.processInfo.environment["RIALTO_RECORD"] != nil

  @Test("scenarios and transcripts belong together", .disabled(if: isRecording))
  func pairs() throws {
    #expect(Self.names.count >= 14, "the scenarios were not found in \(Self.folder.path)")
    let files = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
    let transcripts = files.filter { $0.hasSuffix(".transcript") }.map { String($0.dropLast(".transcript".count)) }
    #expect(transcripts.sorted() == Self.names)
  }

  @Test("a scenario does what its transcript says", arguments: names)
  func runs(name: String) throws {
    let result = try ScenarioRun.run(Self.text(name))
    #expect(result.failure == nil, "\(name): \(result.failure ?? "")")
    let url = Self.folder.appendingPathComponent("\(name).transcript")
    let now = result.transcript.joined(separator: "\n") + "\n"
    let golden = (try? String(contentsOf: url, encoding: .utf8)) ?? ""
    if Self.isRecording, result.failure == nil {
      if now != golden { try now.write(to: url, atomically: true, encoding: .utf8) }
      return
    }
    #expect(now == golden, "\(name) does otherwise now:\n\(Self.difference(golden, now))")
  }

  @Test("a run is the same whenever it is repeated")
  func isRepeatable() throws {
    let text = try Self.text("lossy-network")
    #expect(try ScenarioRun.run(text) == ScenarioRun.run(text))
  }

  /// Lines that are gone (-) and new (+), each hunk with one line before it.
  static func difference(_ old: String, _ new: String) -> String {
    let old = old.components(separatedBy: "\n")
    let new = new.components(separatedBy: "\n")
    let changes = new.difference(from: old)
    var gone: Set<Int> = []
    var come: Set<Int> = []
    for case .remove(let offset, _, _) in changes { gone.insert(offset) }
    for case .insert(let offset, _, _) in changes { come.insert(offset) }
    var lines: [String] = []
    var (left, right) = (0, 0)
    var context: String?
    while left < old.count || right < new.count {
      let isGone = left < old.count && gone.contains(left)
      let isNew = right < new.count && come.contains(right)
      if isGone || isNew, let shown = context {
        lines.append("  \(shown)")
        context = nil
      }
      if isGone {
        lines.append("- \(old[left])")
        left += 1
      } else if isNew {
        lines.append("+ \(new[right])")
        right += 1
      } else {
        context = left < old.count ? old[left] : nil
        left += 1
        right += 1
      }
    }
    return lines.joined(separator: "\n")
  }

  // MARK: It can fail

  @Test("an expectation that does not hold is a failure, with its line")
  func failedExpectation() throws {
    let result = try ScenarioRun.run(
      """
      at 0 ms    n1 defines BTC-USD
      at 100 ms  n1 buy 10 @ 100 id a
      at 200 ms  expect n1 has bids 9 @ 100
      at 200 ms  expect all have a open 10
      """)
    #expect(result.failure == "line 3, ‘expect n1 has bids 9 @ 100’: n1 has bids 10 @ 100")
    #expect(result.transcript.filter { $0.contains("not so: ") }.count == 1)
  }

  @Test("what members promised to a majority of disks cannot be taken from all of them")
  func majorityWiped() throws {
    let result = try ScenarioRun.run("at 1 s wipe n1 for 100 ms\nat 1.01 s wipe n2 for 100 ms")
    #expect(result.failure?.hasPrefix("line 2, ‘wipe n2 for 100 ms’: it cannot happen now") == true)
  }

  @Test("a membership that is otherwise is a failure, and says how it is")
  func failedMembership() throws {
    let result = try ScenarioRun.run("spares 1\nat 1 s expect view 1 of n1 n2 n3\nat 1 s expect n4 follows")
    #expect(result.failure == "line 2, ‘expect view 1 of n1 n2 n3’: n1 is in view 0 of n1 n2 n3")
    #expect(result.transcript.last == "    1.000 s               not so: n4 is down")
  }

  @Test(
    "a broken variant is seen by its scenario",
    arguments: [
      ("crash-before-the-sync", Defects.acknowledgesBeforeSync), ("crash-before-the-sync", .sendsBeforeSync),
      ("failed-sync", .sendsBeforeSync), ("join", .noWedge), ("joiner-with-a-slow-clock", .noFloor),
      ("cancel-of-a-void-dot", .resubmitsAfterCancel), ("sealed-twice", .forgetsFirstDot),
      ("void-tail-comes-again", .forgetsFirstDot), ("crash-while-the-tail-comes-again", .forgetsVoidTail),
      ("cut-link", .noRelay), ("one-way-link", .noRelay), ("clock-back", .ownClockAlone),
      ("clock-far-ahead", .ownClockAlone),
    ])
  func brokenVariants(name: String, defects: Defects) throws {
    #expect(try ScenarioRun.run(Self.text(name), defects: defects).failure != nil)
  }

  @Test(
    "a broken change of views is seen by its scenario",
    arguments: [
      ("proposer-dies", ViewDefects.noTakeover), ("proposer-dies", .wedgeTimesOut),
      ("proposer-dies-late", .ignoresAccepted), ("what-a-survivor-holds", .baseWithoutAcks),
      ("joiner-dies-under-the-mutex", .leaseNotFenced), ("flipped-bit-in-anothers-log", .ignoresToken),
      ("leave", .tooFewSigners), ("cut-link-and-a-change-of-views", .proposesAlone),
    ])
  func brokenViews(name: String, defects: ViewDefects) throws {
    #expect(try ScenarioRun.run(Self.text(name), viewDefects: defects).failure != nil)
  }

  // MARK: The language

  @Test(
    "what is no scenario is refused, with the line and what was expected",
    arguments: [
      (
        "node 3",
        "line 1: expected a setting (nodes, spares, seed, fanout, latency, sync, transport, loss, duplicates), "
          + "or a step (at …), found ‘node’"
      ),
      ("spares 14", "line 1: expected 16 nodes at most, spare ones among them, found ‘14’"),
      ("nodes 99", "line 1: expected a number of nodes, 1 to 16, found ‘99’"),
      ("latency 1", "line 1: expected us, ms or s, found the end of the line"),
      ("latency 5 ms to 1 ms", "line 1: expected a time that is not shorter, found ‘ms’"),
      ("transport pigeon", "line 1: expected stream or datagram, found ‘pigeon’"),
      ("loss 100 %", "line 1: expected a percentage, at most 90, found ‘100’"),
      ("at 0 s heal\nnodes 3", "line 2: expected a step (at …): settings come first, found ‘nodes’"),
      ("at 1.2345678 s heal", "line 1: expected a time such as 20 ms, found ‘s’"),
      ("at 2 s heal\nat 1 s heal", "line 2: expected a time that is not before the step above, found ‘s’"),
      ("at 0 s n4 buy 1 @ 1", "line 1: expected a node, a fault, heal, start or expect, found ‘n4’"),
      ("at 0 s n1 buy 1", "line 1: expected @, market or stop, found the end of the line"),
      ("at 0 s n1 buy ten @ 1", "line 1: expected a quantity, found ‘ten’"),
      ("at 0 s n1 buy 1 @ 1 id 0-1", "line 1: expected an id of at most 36 bytes that is no dot, found ‘0-1’"),
      ("at 0 s n1 cancel a", "line 1: expected an account, or the id of an order of this script, found ‘a’"),
      ("at 0 s n1 repeats a", "line 1: expected the id of an order above, found ‘a’"),
      ("at 0 s partition n1 | n2", "line 1: expected each node on one side, found ‘n2’"),
      ("at 0 s cut n1 -> n1", "line 1: expected a node of the other side, found ‘n1’"),
      ("at 0 s crash n1 soon", "line 1: expected nothing more, found ‘soon’"),
      (
        "at 0 s expect n1 has a done",
        "line 1: expected pending, open, partially-filled, filled, cancelled, expired "
          + "or rejected, found ‘done’"
      ),
      ("at 0 s leave n4 for 1 s", "line 1: expected a node, n1 to n3, found ‘n4’"),
      ("at 0 s expect view 2 n1", "line 1: expected ‘of’, found ‘n1’"),
      ("at 0 s expect view of n1", "line 1: expected a view's number, found ‘of’"),
      (
        "at 0 s expect n1 is gone",
        "line 1: expected running, down, wedged, member, or out: and words of the reason, found ‘gone’"
      ),
      ("at 0 s expect n1 is member", "line 1: expected a member's number, found the end of the line"),
      ("at 0 s expect n1 has a rejected never", "line 1: expected a reason such as duplicateID, found ‘never’"),
    ])
  func errors(text: String, error: String) {
    #expect(throws: ScenarioError.self) { try Scenario(text) }
    do { _ = try Scenario(text) } catch let found { #expect("\(found)" == error) }
  }

  @Test("comments, blank lines and spaces mean nothing")
  func blanks() throws {
    let plain = try Scenario("nodes 3\nat 1 s heal\nat 1 s crash n1 for 300 ms")
    let airy = try Scenario("# Title\n\n  nodes   3 # three\n\nat 1000 ms  heal\nat 1.0 s\tcrash n1 for 0.3 s\n\n")
    #expect(plain.settings == airy.settings && plain.steps.map(\.at) == airy.steps.map(\.at))
    #expect(airy.steps.map(\.line) == [5, 6])
    #expect(airy.steps.map(\.text) == ["heal", "crash n1 for 0.3 s"])
  }

  @Test("only what differs is shown")
  func differences() {
    #expect(Self.difference("a\nb\nc\nd", "a\nb\nx\nd") == "  b\n- c\n+ x")
    #expect(Self.difference("", "") == "")
  }
}
