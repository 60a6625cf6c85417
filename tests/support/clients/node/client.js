// One attempt of MQTT.js: argv[2] is JSON with url, topic, payload and the options of mqtt.connect; prints one JSON line an event.
'use strict'

const fs = require('node:fs')
const mqtt = require('mqtt')

const { url, topic, payload, files, options } = JSON.parse(process.argv[2])
for (const [option, path] of Object.entries(files)) options[option] = fs.readFileSync(path)

const say = (event, facts = {}) => process.stdout.write(JSON.stringify({ event, ...facts }) + '\n')

const client = mqtt.connect(url, { ...options, clean: true, protocolVersion: 4, reconnectPeriod: 0 })
let exitCode = 1

client.on('connect', (connack) => {
  say('connect', { returnCode: connack.returnCode })
  client.publish(topic, payload, { qos: 1 }, (error) => {
    say('published', { message: error?.message })
    exitCode = error ? 1 : 0
    client.end()
  })
})
client.on('error', (error) => {
  say('error', { message: error.message, code: error.code })
  client.end(true)
})
client.on('close', () => say('close'))
client.stream.on('close', () => { process.exitCode = exitCode })
