import EventLog
import OrderBook
import Primitives
import Testing

/// There is one encoding of a batch: bytes are refused, or written again they are the very same.
struct MutationTests {
  /// - Returns: true if the bytes were accepted.
  @discardableResult
  private func check(_ bytes: [UInt8], _ comment: @autoclosure () -> String) -> Bool {
    guard case .success(let (header, entries)) = decode(bytes) else { return false }
    let again = encode(header, entries)
    if again != bytes { Issue.record("\(comment()): \(bytes.hex) is accepted, but written as \(again.hex)") }
    return true
  }

  @Test(arguments: [41, 42, 43, 44, 45, 46] as [UInt64]) func everyFlippedBit(seed: UInt64) {
    var random = RandomPayloads(seed: seed)
    let bytes = random.builder(countMax: 60).canonicalBytes()
    #expect(check(bytes, "seed \(seed)"))
    var accepted = 0
    for bit in 0..<bytes.count * 8 {
      var changed = bytes
      changed[bit / 8] ^= 1 << UInt8(bit % 8)
      if check(changed, "seed \(seed), bit \(bit)") { accepted += 1 }
    }
    // Bits of numbers give other numbers; that many are accepted shows that the check above has been made.
    #expect(accepted > bytes.count, "seed \(seed)")
  }

  @Test(arguments: [51, 52, 53] as [UInt64]) func everyTruncationIsRefused(seed: UInt64) {
    var random = RandomPayloads(seed: seed)
    let bytes = random.builder(countMax: 60).canonicalBytes()
    for count in 0..<bytes.count {
      let error = refusal(Array(bytes.prefix(count)))
      guard case .truncated = error else {
        Issue.record("seed \(seed): \(count) of \(bytes.count) bytes: \(error?.description ?? "accepted")")
        continue
      }
    }
  }

  @Test(arguments: [61, 62, 63] as [UInt64]) func everyExtensionIsRefused(seed: UInt64) {
    var random = RandomPayloads(seed: seed)
    let bytes = random.builder(countMax: 60).canonicalBytes()
    for byte in UInt8.min...UInt8.max {
      #expect(refusal(bytes + [byte]) == .trailing(count: 1), "seed \(seed), byte \(byte)")
    }
    #expect(refusal(bytes + bytes) == .trailing(count: bytes.count), "seed \(seed)")
  }

  /// Flips, overwrites, deletions, insertions, duplications and splices of two batches, one to four at a time.
  @Test(arguments: [71, 72, 73, 74] as [UInt64]) func randomMutations(seed: UInt64) {
    var random = RandomPayloads(seed: seed)
    var accepted = 0
    for round in 0..<50 {
      let bytes = random.builder(countMax: 12).canonicalBytes()
      let other = random.builder(countMax: 12).canonicalBytes()
      for step in 0..<100 {
        var changed = bytes
        for _ in 0..<random.generator.pick(1...4) { mutate(&changed, other, &random.generator) }
        if check(changed, "seed \(seed), round \(round), step \(step)") { accepted += 1 }
      }
    }
    #expect(accepted > 200, "seed \(seed): only \(accepted) of 5,000 were accepted; the mutations are too coarse")
  }

  private func mutate(_ bytes: inout [UInt8], _ other: [UInt8], _ generator: inout SeededGenerator) {
    guard !bytes.isEmpty else { return }
    let place = generator.pick(0...bytes.count - 1)
    switch generator.below(7) {
    case 0, 1: bytes[place] ^= 1 << UInt8(generator.below(8))
    case 2: bytes[place] = UInt8(truncatingIfNeeded: generator.next())
    case 3: bytes.remove(at: place)
    case 4: bytes.insert([0, 1, 0x7f, 0x80, 0xff][generator.pick(0...4)], at: place)
    case 5:
      let end = min(bytes.count, place + generator.pick(1...6))
      bytes.insert(contentsOf: bytes[place..<end], at: place)
    default: bytes = Array(bytes[..<place]) + other.suffix(generator.pick(0...other.count))
    }
  }

  /// Bytes of no batch: a plausible header, then anything.
  @Test(arguments: [81, 82] as [UInt64]) func randomBytes(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var accepted = 0
    for step in 0..<20_000 {
      // A head of a known kind, then small numbers: a good part of these is a valid entry.
      var bytes: [UInt8] = [1, 0, 1, UInt8(generator.pick(1...2)), 9, UInt8(generator.pick(0x10...0x7f))]
      for _ in 0..<generator.pick(0...6) {
        bytes.append(generator.chance(1, of: 6) ? UInt8(generator.pick(0x20...0x5f)) : UInt8(generator.below(4)))
      }
      if check(bytes, "seed \(seed), step \(step)") { accepted += 1 }
    }
    #expect(accepted > 200, "seed \(seed): only \(accepted) were accepted")
  }
}
