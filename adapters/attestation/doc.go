// Package attestation knows what a worker's evidence proves: that its key lives in an allowed image, on genuine,
// patched and allowed hardware, now.
//
// Evidence comes from whoever owns the machine, who is the attacker here. So nothing in it is believed but by
// signatures that lead to authorities that are part of this program (internal/anchors), nothing in it makes us
// fetch something, and reading it costs time and memory in proportion to its size, which is bounded.
//
// [Verifier.Appraise] is a function of evidence, challenge, policy, collateral and time. It opens no file and no
// connection, and never panics. What vendors publish and a verifier has to have (lists of revoked certificates,
// Intel's list of levels) is [Collateral]; package fetch brings it, or an operator by hand. A file that is missing
// or out of date is the verifier's own fault, and the result says that it can't tell, not that the worker failed.
//
// How to read evidence is in three packages that hold no opinion: sevsnp, tdx and nvgpu. What to think of it is in
// this one, check by check, each by a name that stays.
//
// docs/attestation.md explains the policy and the checks to operators.
package attestation
