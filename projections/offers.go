package projections

// An offer is in force from when it is set until it is withdrawn, or until its worker is out of service: retired, or of a
// provider that is. Nobody comes back from that, and the ledger assigns such a worker no job (decideAssignJobTo in
// domain/ledger). A worker that is suspended, or not attested now, keeps its offers: it gets jobs again without setting
// them anew, and how it stands is told beside them. Lists, counts, coefficients and market hours all go by this rule; the
// stores have it in SQL, and their conformance suite holds that against these two functions.

// OutSinceMs is since when a worker is out of service; zero: it is in service.
func (r *Worker) OutSinceMs(owner *Provider) int64 {
	switch {
	case r.RetiredAtMs == 0:
		return owner.RetiredAtMs
	case owner.RetiredAtMs == 0:
		return r.RetiredAtMs
	default:
		return min(r.RetiredAtMs, owner.RetiredAtMs)
	}
}

// InForce says whether the offer is in force now. worker has made it, and owner is the worker's provider.
func (r *Offer) InForce(worker *Worker, owner *Provider) bool {
	return !r.Withdrawn && worker.OutSinceMs(owner) == 0
}
