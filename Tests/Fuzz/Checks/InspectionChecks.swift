import Diagnostics
import EventLog
import Primitives

/// What two replicas are compared with: one encoding each.
enum InspectionChecks {
  @Sendable static func question(_ input: [UInt8]) throws(Finding) -> Bool {
    guard let question = try? Question(bytes: input) else { return false }
    try expect(question.bytes == input, "encodes to other bytes: \(question.bytes)")
    return true
  }

  @Sendable static func answer(_ input: [UInt8]) throws(Finding) -> Bool {
    guard let answer = try? Answer(bytes: input) else { return false }
    let bytes = answer.bytes
    // A client order id that is a number has several texts.
    guard let again = try? Answer(bytes: bytes) else { throw Finding("what is encoded does not decode: \(bytes)") }
    try expect(again == answer, "decodes to something else")
    return true
  }
}
