import ArgumentParser
import Simulator

/// `rialto simulate --scenario FILE`: a script instead of what a seed draws.
extension SimulateCommand {
  /// Runs the script, prints what happened, and says whether all was as it must be.
  func runScenario(_ path: String) throws {
    let text = String(decoding: try Files.read(path), as: UTF8.self)
    let result: ScenarioRun.Result
    do throws(ScenarioError) {
      result = try ScenarioRun.run(text)
    } catch {
      throw CommandError(
        "\(path): \(error)", advice: "Scenarios in Tests/SimulatorTests/Scenarios show what can be written.")
    }
    for line in result.transcript { if json { Output.note(line) } else { Output.result(line) } }
    if let failure = result.failure { Output.note("failed: \(failure)") }
    if json {
      var line = JSONLine()
      line.add("scenario", path)
      line.add("passed", result.failure == nil)
      if let failure = result.failure { line.add("failure", failure) }
      Output.result(line.text)
    }
    if result.failure != nil { throw ExitCode.notGood }
  }
}
