import Testing

@testable import rialto

@Suite("Output")
struct OutputTests {
  @Test func jsonKeepsTheOrderOfItsKeys() {
    var inner = JSONLine()
    inner.add("name", "a")
    var line = JSONLine()
    line.add("zeta", 1)
    line.add("alpha", UInt128.max)
    line.add("good", true)
    line.add("none", String?.none)
    line.add("seconds", seconds: .microseconds(1_000_020))
    line.add("nodes", [inner, inner])
    line.add("words", ["x", "y"])
    #expect(
      line.text == """
        {"zeta":1,"alpha":340282366920938463463374607431768211455,"good":true,"none":null,"seconds":1.000020,\
        "nodes":[{"name":"a"},{"name":"a"}],"words":["x","y"]}
        """)
    #expect(JSONLine().text == "{}")
  }

  @Test func jsonStringsAreEscaped() {
    #expect(JSONLine.quoted("a\"b\\c\n\r\t\u{1b}\u{7f}\u{2028}é😀") == #""a\"b\\c\n\r\t\u001b\u007f\u2028é😀""#)
  }

  @Test func tablesAlign() {
    var table = TextTable([("node", .left), ("orders", .right), ("state", .left)])
    table.add(["alpha", "7", "ok"])
    table.add(["b", "12,345", ""])
    #expect(table.lines == ["node   orders  state", "alpha       7  ok", "b      12,345"])
  }

  @Test(
    "numbers for people",
    arguments: [
      (0, "0", "0"), (999, "999", "999"), (1_000, "1,000", "1.0 k"), (12_345, "12,345", "12.3 k"),
      (999_999, "999,999", "999 k"), (1_234_567, "1,234,567", "1.2 M"), (-5_000_000, "-5,000,000", "-5.0 M"),
      (2_000_000_000_000, "2,000,000,000,000", "2,000 G"),
    ])
  func numbers(value: Int, grouped: String, short: String) {
    #expect(value.grouped == grouped)
    #expect(value.short == short)
  }

  @Test func durations() {
    #expect(Duration.microseconds(850).short == "850 µs")
    #expect(Duration.microseconds(12_345).short == "12.3 ms")
    #expect(Duration.microseconds(4_056_000).short == "4.05 s")
    #expect(Duration.microseconds(12_345).secondsText == "0.012345")
    #expect(Duration.seconds(2).perSecond(3_000_000) == 1_500_000)
    #expect(Duration.zero.perSecond(5) == 5_000_000)
    #expect(Duration.zero.perSecond(0) == 0)
  }
}
