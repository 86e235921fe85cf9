import EventLog
import OrderBook
import Primitives
import Testing

/// Bytes that a careless decoder would take, one by one. `RefusedVectors` holds the same for other languages.
struct RefusalTests {
  @Test(arguments: RefusedVectors.all) func isRefused(vector: RefusedVector) {
    #expect(refusal(vector.bytes) == vector.error, "\(vector.bytes.hex)")
  }

  /// Each refused form stands next to the accepted one it is derived from.
  @Test(arguments: RefusedVectors.all.filter { !$0.accepted.isEmpty }) func isAcceptedInItsOneForm(
    vector: RefusedVector
  ) throws {
    let (header, entries) = try decode(vector.accepted).get()
    #expect(encode(header, entries) == vector.accepted)
  }

  @Test func everyUnknownKindAsksForAnUpgrade() {
    for kind in UInt8.min...15 where PayloadKind(rawValue: kind) == nil {
      for flags in UInt8.min...15 {
        #expect(
          refusal([1, 0, 1, 1, 9, kind << 4 | flags, 0, 0])
            == .unknown(field: "payload kind", value: UInt64(kind)))
      }
    }
  }

  @Test func everyUnknownVersionAsksForAnUpgrade() {
    for version in UInt8.min...UInt8.max where version != 1 {
      let error = CodecError.unknown(field: "batch version", value: UInt64(version))
      #expect(refusal([version, 0, 1, 1, 9, 0x56]) == error)
      #expect(throws: error) { try BatchHeader(canonicalBytes: [version]) }
    }
  }

  /// All heads of known kinds: flags that the kind does not have are refused whatever follows.
  @Test func unusedFlagsAreRefused() {
    let used: [PayloadKind: UInt8] = [
      .instrument: 0, .order: 15, .cancel: 7, .amend: 7, .cancelAll: 6, .fill: 0, .checkpoint: 0,
    ]
    for kind in PayloadKind.allCases {
      for flags in UInt8.min...15 where flags & ~(used[kind] ?? 0) != 0 {
        let bytes = [1, 0, 1, 1, 9, kind.rawValue << 4 | flags] + [UInt8](repeating: 1, count: 80)
        guard case .invalid(let field) = refusal(bytes) else {
          Issue.record("\(kind) with flags \(flags) is not invalid")
          continue
        }
        #expect(field.description.hasSuffix("flags"), "\(kind), \(flags): \(field)")
      }
    }
  }

  @Test func everyShapeIsAnOrderOrRefused() {
    var accepted = 0
    for shape in UInt16.min...UInt16.max {
      let type = shape & 3
      let stops = type >= 2
      let dated = shape >> 2 & 3 == 3
      let idKind = shape >> 8 & 3
      let valid = shape >> 12 == 0 && shape >> 4 & 7 <= 4 && idKind <= 2
      var bytes: [UInt8] = [1, 0, 1, 1, 9]
      bytes += shape == 0 ? [0x2e] : [0x26, UInt8(shape & 255), UInt8(shape >> 8)]
      bytes += [2, 2]
      if stops { bytes.append(2) }
      if shape >> 10 & 1 == 1 { bytes.append(2) }
      if dated { bytes.append(2) }
      if idKind == 1 { bytes += [2, 2] }
      if idKind == 2 { bytes += [1, 65, 2] }
      if shape >> 11 & 1 == 1 { bytes += [0, 2] }
      #expect(refusal(bytes) == (valid ? nil : .invalid(field: "order shape")), "shape \(shape)")
      accepted += valid ? 1 : 0
    }
    #expect(accepted == 4 * 4 * 5 * 2 * 3 * 2 * 2)
  }
}
