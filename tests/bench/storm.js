// SPDX-License-Identifier: Apache-2.0
// What `npm ci` asks of a network, without what it computes: each package of a lock file, the first one alone and then fifteen at a time on
// connections that are kept. Called by rtt.sh: storm.js FOLDER.
'use strict';
const fs = require('fs');
const https = require('https');

const agent = new https.Agent({ keepAlive: true, maxSockets: 15 });
const lock = JSON.parse(fs.readFileSync(process.argv[2] + '/package-lock.json', 'utf8'));
const urls = Object.values(lock.packages).map((p) => p.resolved).filter(Boolean);

const fetch = (url) => new Promise((resolve, reject) => {
	https.get(url, { agent }, (answer) => {
		if (answer.statusCode !== 200) reject(new Error(`${url}: ${answer.statusCode}`));
		answer.resume().on('end', resolve).on('error', reject);
	}).on('error', reject);
});

fetch(urls[0]).then(() => Promise.all(urls.slice(1).map(fetch))).then(() => agent.destroy(), (error) => {
	console.error(error.message);
	process.exit(1);
});
