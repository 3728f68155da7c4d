// The pages, by path; each is a file in pages/. A page is {path, section, every, load, title, view}:
//
//   path     '/jobs/:job'; what stands for :job is in params
//   section  which entry of the navigation it is under
//   every    milliseconds between two looks while it is shown, or nothing where nothing moves
//   load     (books, params, query) → a promise of what it shows; asks only through books
//   title    (data, params) → the words in the window's bar
//   view     (data, params, query) → the tree of what is shown; pure
//
// A new one is one file and one line here, and its first part of the path in dashboard.go.
import { start } from './shell.js';
import overview from './pages/overview.js';
import jobs from './pages/jobs.js';
import job from './pages/job.js';
import market from './pages/market.js';
import model from './pages/model.js';
import providers from './pages/providers.js';
import provider from './pages/provider.js';
import worker from './pages/worker.js';
import clients from './pages/clients.js';
import client from './pages/client.js';
import batches from './pages/batches.js';
import batch from './pages/batch.js';
import network from './pages/network.js';
import audit from './pages/audit.js';
import find from './pages/find.js';

start([overview, jobs, job, market, model, providers, provider, worker, clients, client, batches, batch, network, audit, find]);
