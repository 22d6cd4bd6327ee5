// What a page's script of a front end does: Amplify, configured by the file of `amplify-mw pool`.

import 'aws-amplify/auth/enable-oauth-listener';

import { Amplify } from 'aws-amplify';
import * as auth from 'aws-amplify/auth';
import { Hub, parseAmplifyConfig } from 'aws-amplify/utils';

globalThis.heard = [];
Hub.listen('auth', ({ payload }) => globalThis.heard.push(payload.event));

const outputs = await (await fetch('/amplify_outputs.json')).json();
const config = parseAmplifyConfig(outputs);
config.Auth.Cognito.userPoolEndpoint = outputs.custom?.amplify_mw?.endpoint_url;
Amplify.configure(config);
globalThis.auth = auth;
document.title = 'configured';
