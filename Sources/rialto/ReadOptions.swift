import ArgumentParser
import Client
import Primitives

extension Stamp: ExpressibleByArgument {
  /// As it is printed, milliseconds and counter: `1795287243123.4`; or the value itself.
  public init?(argument: String) {
    let parts = argument.split(separator: ".", omittingEmptySubsequences: false)
    switch parts.count {
    case 1:
      guard let value = UInt64(parts[0]) else { return nil }
      self.init(value)
    case 2:
      guard let milliseconds = UInt64(parts[0]), milliseconds < 1 << 48, let counter = UInt16(parts[1]) else {
        return nil
      }
      self.init(milliseconds: milliseconds, counter: counter)
    default: return nil
    }
  }
}

/// How settled what is shown must be.
struct ReadOptions: ParsableArguments {
  @Flag(help: "Show only what is final: no node will ever take it back.")
  var final = false

  @Flag(help: "Show what is applied, also what may still be taken back.")
  var tentative = false

  @Option(
    help: ArgumentHelp(
      "Show what is final, once everything up to this stamp is; 'place --json' prints the stamp of an order.",
      valueName: "stamp"))
  var atLeast: Stamp?

  @Option(help: ArgumentHelp("With --at-least: how long to wait for it.", valueName: "time"), transform: TimeSpan.wait)
  var wait: TimeSpan?

  static let waitDefault = TimeSpan(milliseconds: 5_000)

  func validate() throws {
    let given = [final, tentative, atLeast != nil].count { $0 }
    guard given <= 1 else { throw ValidationError("Give one of --tentative, --final and --at-least.") }
    guard wait == nil || atLeast != nil else { throw ValidationError("--wait is for --at-least.") }
    try Self.check(wait, "--wait")
  }

  static func check(_ wait: TimeSpan?, _ name: String) throws {
    guard wait?.milliseconds ?? 1 <= ClientLimits.waitMillisecondsMax else {
      throw ValidationError("\(name) may be at most \(TimeSpan(milliseconds: ClientLimits.waitMillisecondsMax)).")
    }
  }

  /// - Parameter usual: what is meant if nothing is said.
  func level(usual: ReadLevel) -> ReadLevel {
    if let atLeast {
      return .atLeast(atLeast, waitMilliseconds: (wait ?? Self.waitDefault).milliseconds)
    }
    if final { return .final }
    return tentative ? .tentative : usual
  }
}

extension TimeSpan {
  /// A time that somebody waits.
  static func wait(_ text: String) throws -> TimeSpan {
    if let span = TimeSpan(argument: text) { return span }
    let (number, unit) = (text.prefix { $0.isNumber }, text.drop { $0.isNumber })
    if !number.isEmpty, number.allSatisfy({ $0 == "0" }), ["", "ms", "s", "m", "h", "d"].contains(unit) {
      throw ValidationError("Nobody waits for no time: leave the option out, or give a time such as 500ms or 2s.")
    }
    throw ValidationError("'\(text)' is no time: give a number and a unit, such as 500ms, 2s or 1m.")
  }
}
