// SPDX-License-Identifier: Apache-2.0
// What `npm ci` is measured with: a project of many small packages and the files of a registry (https://npm.test) that has them.
//
//   node registry.js FOLDER-OF-THE-ORIGIN PROJECT COUNT
const fs = require('fs'), { execFileSync } = require('child_process'), crypto = require('crypto');
const [, , www, project, count] = process.argv, lock = { name: 'p', version: '1.0.0', lockfileVersion: 3, requires: true, packages: {} }, deps = {};
fs.mkdirSync(www + '/files', { recursive: true }); fs.mkdirSync(project, { recursive: true });
for (let i = 0; i < +count; i++) {
	const name = `egret-part-${i}`, dir = fs.mkdtempSync('/tmp/egret-part.'), tgz = `${www}/files/${name}-1.0.0.tgz`;
	fs.mkdirSync(dir + '/package');
	fs.writeFileSync(dir + '/package/package.json', JSON.stringify({ name, version: '1.0.0' }));
	fs.writeFileSync(dir + '/package/blob', crypto.randomBytes(20000));
	execFileSync('tar', ['-C', dir, '-czf', tgz, 'package']); fs.rmSync(dir, { recursive: true });
	deps[name] = '1.0.0';
	lock.packages['node_modules/' + name] = { version: '1.0.0', resolved: `https://npm.test/files/${name}-1.0.0.tgz`,
		integrity: 'sha512-' + crypto.createHash('sha512').update(fs.readFileSync(tgz)).digest('base64') };
}
lock.packages[''] = { name: 'p', version: '1.0.0', dependencies: deps };
fs.writeFileSync(project + '/package.json', JSON.stringify({ name: 'p', version: '1.0.0', dependencies: deps }));
fs.writeFileSync(project + '/package-lock.json', JSON.stringify(lock));
